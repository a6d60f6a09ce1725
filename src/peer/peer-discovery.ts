import { FlotillaError, LIMITS, type Member } from '../base/index.js';
import type { Clock, Logger, Timer } from '../group/index.js';
import { type DiscoveryClient, memberToProto, RpcDiscoveryClient, readIntroduction } from './discovery-client.js';

export interface PeerDiscoveryOptions {
  readonly self: Member;
  readonly clusterId: string;
  /** The members that can't be reached now. */
  readonly missing: () => readonly Member[];
  /** HOST:PORT that this node was started with. */
  readonly peerAddresses: readonly string[];
  /** Hears of a node, and where it is said to be. */
  readonly onFound: (node: Member) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For tests. Default: over gRPC. */
  readonly discovery?: DiscoveryClient;
}

/**
 * Looks for members that can't be reached where the cluster's state says that they
 * are: they may have been started at other addresses while this node was away.
 * A node that listens at an address which this one was started with tells its own
 * identity, and where the others are.
 */
export class PeerDiscovery {
  private readonly options: PeerDiscoveryOptions;
  private readonly discovery: DiscoveryClient;
  private timer: Timer | undefined;
  private stopped = false;

  constructor(options: PeerDiscoveryOptions) {
    this.options = options;
    this.discovery = options.discovery ?? new RpcDiscoveryClient();
  }

  start(): void {
    this.timer = this.options.clock.after(LIMITS.memberSearchMs, () => void this.searchOn());
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.discovery.keep(new Set());
  }

  private async searchOn(): Promise<void> {
    const { missing, peerAddresses } = this.options;
    const addresses = missing().length === 0 ? [] : peerAddresses;
    this.discovery.keep(new Set(addresses));
    await Promise.all(addresses.map((address) => this.ask(address)));
    if (!this.stopped) this.start();
  }

  private async ask(address: string): Promise<void> {
    const { self, clusterId, onFound, logger } = this.options;
    try {
      const request = { self: memberToProto(self), clusterId };
      const answer = readIntroduction(await this.discovery.introduce(address, request));
      if (this.stopped || (answer.clusterId !== '' && answer.clusterId !== clusterId)) return;
      for (const node of [...answer.clusterMembers, answer.self]) onFound(node);
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      // No node listens there, or none that can tell: the next round asks again.
      logger.debug({ address, reason: error.message }, 'no node there tells where the missing members are');
    }
  }
}
