import type { ActorId, GroupId } from '../base/index.js';
import type { GroupHost, GroupObserver, LinkState, Logger } from '../group/index.js';
import { roleOf } from '../service/index.js';
import type { SpaceGuard } from '../storage/index.js';
import type { Stream, StreamObserver } from '../stream/index.js';
import type { Metrics } from '../telemetry/index.js';

/** Counts what a group tells, over all groups of the node, and logs what an operator wants to know of it. */
export function observeGroup(self: ActorId, metrics: Metrics, logger: Logger, group: GroupId): GroupObserver {
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
    cutFailed: ({ code, message }) =>
      logger.warn({ group, code, reason: message }, 'the front of the log could not be given up; it is tried again'),
  };
}

/** Counts what a stream tells, and logs what an operator wants to know of it. */
export function observeStream(metrics: Metrics, logger: Logger, group: GroupId): StreamObserver {
  return {
    removed: (events) => metrics.eventsRemoved.inc(events),
    retentionFailed: ({ code, message }) =>
      logger.warn(
        { group, code, reason: message },
        'what is too old or too much could not be given up; it is tried again',
      ),
  };
}

/** Counts a node's groups at each scrape. */
export function mirrorGroups(host: GroupHost, metrics: Metrics): void {
  metrics.onCollect(() => {
    const groups = [...host.all];
    metrics.raftGroups.set(groups.length);
    metrics.cacheBytes.set(host.cachedBytes);
    metrics.quiescedGroups.set(groups.filter(({ isQuiesced }) => isQuiesced).length);
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

/** Copies a stream's state into the gauges at each scrape. */
export function mirrorStream(
  stream: Stream,
  metrics: Metrics,
  linkStates: () => ReadonlyMap<ActorId, LinkState>,
): void {
  metrics.onCollect(() => {
    metrics.raftTerm.set(stream.group.term);
    metrics.raftRole.set(roleOf(stream));
    metrics.leaderKnown.set(stream.group.leader === undefined ? 0 : 1);
    metrics.commitIndex.set(stream.group.commitIndex);
    metrics.appliedIndex.set(stream.state.appliedIndex);
    metrics.lastIndex.set(stream.group.tail.index);
    metrics.logBytes.set(stream.group.storedBytes);
    metrics.logBeginIndex.set(stream.group.begin.index);
    metrics.firstCounter.set(stream.state.first.firstCounter);
    metrics.matchIndex.reset();
    metrics.replicationLag.reset();
    for (const [peer, index] of stream.group.matchIndexes() ?? []) {
      metrics.matchIndex.set({ peer }, index);
      metrics.replicationLag.set({ peer }, Math.max(0, stream.group.tail.index - index));
    }
    metrics.peerLinks.reset();
    for (const [peer, state] of linkStates()) metrics.peerLinks.set({ peer }, state);
  });
}
