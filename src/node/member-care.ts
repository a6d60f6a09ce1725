import { type MembersGroup, MemberUpkeep, type Speaker } from '../cluster/index.js';
import { systemClock } from '../group/index.js';
import { PeerDiscovery, type PeerLinks } from '../peer/index.js';
import type { Logging } from '../telemetry/index.js';

export interface MemberCareOptions {
  readonly self: Speaker;
  readonly clusterId: string;
  readonly group: MembersGroup;
  readonly links: PeerLinks;
  readonly peerAddresses: readonly string[];
  readonly logging: Logging;
}

/** What a node does so that members which were started at other addresses are found, and stay found. */
export class MemberCare {
  private readonly upkeep: MemberUpkeep;
  private readonly search: PeerDiscovery;

  constructor({ self, clusterId, group, links, peerAddresses, logging }: MemberCareOptions) {
    const logger = logging.logger('peer');
    this.upkeep = new MemberUpkeep({ group, self, others: () => links.callers(), clock: systemClock, logger });
    this.search = new PeerDiscovery({
      self,
      clusterId,
      missing: () => links.missing(),
      peerAddresses,
      onFound: (node) => links.hearOf(node),
      clock: systemClock,
      logger,
    });
  }

  start(): void {
    this.upkeep.start();
    this.search.start();
  }

  /** A peer has said where it is. */
  check(): void {
    this.upkeep.check();
  }

  stop(): void {
    this.upkeep.stop();
    this.search.stop();
  }
}
