import type { Seat } from '../base/index.js';
import { type Cluster, ClusterReconciler, MembershipReconciler, type Speaker } from '../cluster/index.js';
import { systemClock } from '../group/index.js';
import type { Founding } from '../machine/cluster/index.js';
import { PeerDiscovery, type PeerLinks } from '../peer/index.js';
import type { StreamHost } from '../stream/index.js';
import type { Logging } from '../telemetry/index.js';

export interface ReconciliationOptions {
  readonly self: Speaker;
  readonly cluster: Cluster;
  readonly streams: StreamHost;
  /** What the cluster begins with, where it has no record yet. */
  readonly founding: Founding;
  readonly links: PeerLinks;
  readonly peerAddresses: readonly string[];
  readonly logging: Logging;
}

/**
 * What a node does so that the state of the cluster, the configurations of its groups and the links to other nodes come
 * in line with each other, and stay so: for each group that it leads, and for members that were started elsewhere.
 */
export class Reconciliation {
  private readonly ofCluster: ClusterReconciler;
  private readonly ofMemberships: readonly MembershipReconciler[];
  private readonly search: PeerDiscovery;

  constructor({ self, cluster, streams, founding, links, peerAddresses, logging }: ReconciliationOptions) {
    const logger = logging.logger('peer');
    const shared = {
      cluster,
      clock: systemClock,
      logger,
      isLinked: (seat: Seat) => links.isLinkedWith(seat),
    };
    const groups = [...streams.all].map(({ group }) => group);
    this.ofCluster = new ClusterReconciler({ ...shared, founding, self, others: () => links.callers() });
    this.ofMemberships = [
      new MembershipReconciler({ ...shared, group: cluster.group, leftBefore: groups }),
      ...groups.map((group) => new MembershipReconciler({ ...shared, group })),
    ];
    this.search = new PeerDiscovery({
      self,
      clusterId: founding.clusterId,
      missing: () => links.missing(),
      peerAddresses,
      onFound: (node) => links.hearOf(node),
      clock: systemClock,
      logger,
    });
  }

  start(): void {
    this.ofCluster.start();
    for (const membership of this.ofMemberships) membership.start();
    this.search.start();
  }

  /** A peer has said where it is. */
  peerCalled(): void {
    this.ofCluster.check();
  }

  /** The cluster's state has changed. */
  stateChanged(): void {
    this.ofCluster.check();
    for (const membership of this.ofMemberships) membership.check();
  }

  stop(): void {
    this.ofCluster.stop();
    for (const membership of this.ofMemberships) membership.stop();
    this.search.stop();
  }
}
