import { FlotillaError, LIMITS } from '../base/index.js';
import type { Clock, Logger, Timer } from '../group/index.js';
import type { Member } from '../wire/index.js';
import { type Introducer, memberToProto, RpcIntroducer, readIntroduction } from './introducer.js';

export interface MemberSearchOptions {
  readonly self: Member;
  readonly clusterId: string;
  /** Who can't be reached now. */
  readonly missing: () => readonly Member[];
  /** HOST:PORT that this node was started with. */
  readonly peerAddresses: readonly string[];
  /** Somebody says that this node is there. */
  readonly onFound: (node: Member) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For tests. Default: over gRPC. */
  readonly introducer?: Introducer;
}

/**
 * Looks for members that can't be reached where the membership says that they
 * are: they may have been started at other addresses while this node was away.
 * Who listens at the addresses that this node was started with says who it is,
 * and where the others are.
 */
export class MemberSearch {
  private readonly options: MemberSearchOptions;
  private readonly introducer: Introducer;
  private timer: Timer | undefined;
  private stopped = false;

  constructor(options: MemberSearchOptions) {
    this.options = options;
    this.introducer = options.introducer ?? new RpcIntroducer();
  }

  start(): void {
    this.timer = this.options.clock.after(LIMITS.memberSearchMs, () => void this.searchOn());
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.introducer.keep(new Set());
  }

  private async searchOn(): Promise<void> {
    const { missing, peerAddresses } = this.options;
    const addresses = missing().length === 0 ? [] : peerAddresses;
    this.introducer.keep(new Set(addresses));
    await Promise.all(addresses.map((address) => this.ask(address)));
    if (!this.stopped) this.start();
  }

  private async ask(address: string): Promise<void> {
    const { self, clusterId, onFound, logger } = this.options;
    try {
      const request = { self: memberToProto(self), clusterId };
      const answer = readIntroduction(await this.introducer.introduce(address, request));
      if (this.stopped || (answer.clusterId !== '' && answer.clusterId !== clusterId)) return;
      for (const node of [...answer.clusterMembers, answer.self]) onFound(node);
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      // Nobody there, or nobody who can tell: the next round asks again.
      logger.debug({ address, reason: error.message }, 'nobody tells where the missing members are');
    }
  }
}
