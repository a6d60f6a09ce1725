import { randomInt } from 'node:crypto';
import { type GroupId, LIMITS } from '../base/index.js';
import { CLUSTER_GROUP, Cluster, ON_CLUSTER_GROUP } from '../cluster/index.js';
import { type ActiveVersion, GroupHost, type OwnOptions, systemClock } from '../group/index.js';
import { PeerLinks, type PeerLinksOptions } from '../peer/index.js';
import type { LevelStorage, SpaceGuard } from '../storage/index.js';
import { DEFAULT_GROUP, type NodeTransport, type PeerEvents, StreamHost } from '../stream/index.js';
import type { Logging, Metrics } from '../telemetry/index.js';
import { checkPackedBody } from '../wire/index.js';

import type { ServerConfig } from './config/index.js';
import { observeGroup, observeStream } from './stream-metrics.js';

export interface ReplicationOptions extends Omit<PeerLinksOptions, 'events' | 'checkBody' | 'logger'> {
  readonly config: ServerConfig;
  readonly logging: Logging;
  readonly metrics: Metrics;
  readonly storage: LevelStorage;
  readonly space: SpaceGuard;
  readonly activeVersion: ActiveVersion;
  readonly onFatal: (error: unknown) => void;
}

/** What makes a node a member of its cluster. */
export interface Replication {
  readonly links: PeerLinks;
  readonly host: GroupHost;
  readonly cluster: Cluster;
  readonly streams: StreamHost;
}

/**
 * Links to the other members, and every group that is stored here. Nothing is dialled or decided before
 * both are started.
 */
export function createReplication(options: ReplicationOptions): Replication {
  const { config, logging, metrics, storage, space, self } = options;
  const links: PeerLinks = new PeerLinks({
    ...options,
    events: countedEvents(metrics, () => ({ groups: host, streams })),
    checkBody: (body) => checkPackedBody(body, { eventDataBytes: config.eventDataBytes }),
    logger: logging.logger('peer'),
  });
  const transport = countedTransport(metrics, links);
  const shared = {
    storage,
    transport,
    clock: systemClock,
    // Drawn with each append that a follower takes: randomInt keeps random bytes in stock.
    random: () => randomInt(2 ** 48 - 1) / 2 ** 48,
    onFatal: options.onFatal,
  };
  const host: GroupHost = new GroupHost({
    ...shared,
    self: self.actor,
    instance: self.instance,
    activeVersion: options.activeVersion,
    settings: {
      electionTimeoutMs: config.electionTimeoutMs,
      heartbeatIntervalMs: config.heartbeatIntervalMs,
      replicationWindow: { bytes: LIMITS.replicationWindowBytes, messages: LIMITS.replicationWindowMessages },
      quiescence: true,
    },
    diskPressure: space.pressure,
    cacheBytes: config.cacheBytes,
    logger: logging.logger('node'),
    onUnknownGroup: () => metrics.messagesOfUnknownGroups.inc(),
  });
  const streams: StreamHost = new StreamHost({ ...shared, groups: host });
  space.onPressure((level) => host.diskPressureChanged(level));
  const raftLogger = logging.logger('raft');
  const hosted = (group: GroupId): OwnOptions => ({
    group,
    observer: {
      ...observeGroup(self.actor, metrics, raftLogger, group),
      appended: ({ bytes }) => space.take(bytes.byteLength),
    },
  });
  const cluster = new Cluster({ group: host.add(hosted(CLUSTER_GROUP), ON_CLUSTER_GROUP), clock: systemClock });
  for (const group of storage.groups()) {
    if (group === CLUSTER_GROUP) continue;
    streams.add({
      ...hosted(group),
      ...(group === DEFAULT_GROUP ? { initialSettings: config.retention } : {}),
      streamObserver: observeStream(metrics, raftLogger, group),
    });
  }
  return { links, host, cluster, streams };
}

function countedEvents(
  metrics: Metrics,
  here: () => { readonly groups: GroupHost; readonly streams: StreamHost },
): PeerEvents {
  return {
    onHeard: (from) => here().groups.onHeard(from),
    seatOf: (group, actor) => here().groups.seatOf(group, actor),
    onMessage: (from, group, message, records) => {
      metrics.messagesReceived.inc({ type: message.type });
      here().groups.onMessage(from, group, message, records);
    },
    onClock: (from, message) => here().groups.onClock(from, message),
    onForward: (from, group, body, stamp) => here().streams.onForward(from, group, body, stamp),
    onLink: (peer, state) => here().groups.onLink(peer, state),
    onFetch: (group, from, to) => here().groups.onFetch(group, from, to),
  };
}

function countedTransport(metrics: Metrics, links: PeerLinks): NodeTransport {
  return {
    send: (to, group, message, records) => {
      metrics.messagesSent.inc({ type: message.type });
      return links.send(to, group, message, records);
    },
    forward: (to, group, body, stamp) => {
      metrics.forwarded.inc();
      return links.forward(to, group, body, stamp);
    },
    heartbeat: (to) => links.heartbeat(to),
    tellClock: (to, message) => links.tellClock(to, message),
  };
}
