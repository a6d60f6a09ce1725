import type { ActorId, GroupId } from '../base/index.js';
import { isVoter } from '../raft/index.js';
import type { LinkState, Logger, Replica, ReplicaHost, ReplicaObserver } from '../replica/index.js';
import type { SpaceGuard } from '../storage/index.js';
import type { Metrics, RaftRole } from '../telemetry/index.js';

/** Counts what a replica tells, over all groups of the node, and logs what an operator wants to know of it. */
export function observeReplica(self: ActorId, metrics: Metrics, logger: Logger, group: GroupId): ReplicaObserver {
  let lastLeader: ActorId | undefined;
  return {
    roleChanged: (role, term, leader) => {
      logger.info(
        { group, role, term, leader },
        leader === undefined ? `${role}, no leader known` : `${role}, node ${leader} leads`,
      );
      if (leader === undefined || leader === lastLeader) return;
      lastLeader = leader;
      metrics.leadershipChanges.inc();
      if (leader === self) metrics.electionsWon.inc();
    },
    campaigned: () => metrics.electionsStarted.inc(),
    persisted: (seconds, records) => {
      metrics.persistSeconds.observe(seconds);
      metrics.persistRecords.observe(records);
    },
    committed: (seconds) => metrics.appendSeconds.observe(seconds),
    knownAgain: () => metrics.knownAgain.inc(),
    outcomeUnknown: (batches) => metrics.outcomesUnknown.inc(batches),
    removed: (events) => metrics.eventsRemoved.inc(events),
    retentionFailed: ({ code, message }) =>
      logger.warn(
        { group, code, reason: message },
        'what is too old or too much could not be given up; it is tried again',
      ),
  };
}

/** Counts a node's groups at each scrape. */
export function mirrorGroups(host: ReplicaHost, metrics: Metrics): void {
  metrics.onCollect(() => {
    const replicas = [...host.all];
    metrics.raftGroups.set(replicas.length);
    metrics.cacheBytes.set(host.cachedBytes);
    metrics.quiescedGroups.set(replicas.filter(({ isQuiesced }) => isQuiesced).length);
    metrics.clockSkew.reset();
    for (const [peer, skewMs] of host.clocks.skewsMs()) metrics.clockSkew.set({ peer }, skewMs / 1000);
  });
}

/** Tells at each scrape how much the disk still takes. */
export function mirrorSpace(space: SpaceGuard, metrics: Metrics): void {
  metrics.onCollect(() => {
    metrics.diskFreeBytes.set(Math.max(0, space.freeBytes));
    metrics.diskMinFreeBytes.set(space.thresholdBytes);
    metrics.diskBallastBytes.set(space.ballastBytes);
    metrics.diskPressure.set(space.pressure);
  });
}

/** Copies a replica's state into the gauges at each scrape. */
export function mirrorReplica(
  replica: Replica,
  metrics: Metrics,
  linkStates: () => ReadonlyMap<ActorId, LinkState>,
): void {
  metrics.onCollect(() => {
    metrics.raftTerm.set(replica.term);
    metrics.raftRole.set(roleLabel(replica));
    metrics.leaderKnown.set(replica.leader === undefined ? 0 : 1);
    metrics.commitIndex.set(replica.commitIndex);
    metrics.appliedIndex.set(replica.stream.appliedIndex);
    metrics.lastIndex.set(replica.tail.index);
    metrics.logBytes.set(replica.storedBytes);
    metrics.logBeginIndex.set(replica.begin.index);
    metrics.firstCounter.set(replica.stream.first.firstCounter);
    metrics.matchIndex.reset();
    metrics.replicationLag.reset();
    for (const [peer, index] of replica.matchIndexes() ?? []) {
      metrics.matchIndex.set({ peer }, index);
      metrics.replicationLag.set({ peer }, Math.max(0, replica.tail.index - index));
    }
    metrics.peerLinks.reset();
    for (const [peer, state] of linkStates()) metrics.peerLinks.set({ peer }, state);
  });
}

function roleLabel(replica: Replica): RaftRole {
  switch (replica.role) {
    case 'leader':
      return 'leader';
    case 'candidate':
    case 'pre-candidate':
      return 'candidate';
    case 'follower':
      return isVoter(replica.membership, replica.self) ? 'follower' : 'learner';
  }
}
