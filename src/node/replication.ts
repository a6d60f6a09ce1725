import { randomBytes } from 'node:crypto';
import { LIMITS } from '../base/index.js';
import { PeerLinks, type PeerLinksOptions } from '../peer/index.js';
import { DEFAULT_GROUP, type NodeTransport, type PeerEvents, ReplicaHost, systemClock } from '../replica/index.js';
import type { LevelStorage, SpaceGuard } from '../storage/index.js';
import type { Logging, Metrics } from '../telemetry/index.js';
import { checkPackedBody, type Membership, vouch } from '../wire/index.js';

import type { ServerConfig } from './config/index.js';
import { observeReplica } from './replica-metrics.js';

export interface ReplicationOptions extends Omit<PeerLinksOptions, 'events' | 'checkBody' | 'logger'> {
  readonly config: ServerConfig;
  readonly logging: Logging;
  readonly metrics: Metrics;
  readonly storage: LevelStorage;
  readonly space: SpaceGuard;
  /** The members of `default`, or what is known of them, have changed in this node's log. */
  readonly onMembership: (membership: Membership) => void;
  readonly onFatal: (error: unknown) => void;
}

/** What makes a node a member of its cluster. */
export interface Replication {
  readonly links: PeerLinks;
  readonly host: ReplicaHost;
}

/**
 * Links to the other members, and a replica of every group that is stored here. Nothing is dialled or decided before
 * both are started.
 */
export function createReplication(options: ReplicationOptions): Replication {
  const { config, logging, metrics, storage, space, self } = options;
  const links: PeerLinks = new PeerLinks({
    ...options,
    events: countedEvents(metrics, () => host),
    checkBody: (body) => checkPackedBody(body, { eventDataBytes: config.eventDataBytes }),
    logger: logging.logger('peer'),
  });
  const host: ReplicaHost = new ReplicaHost({
    self: self.actor,
    instance: self.instance,
    vouch: (claim) => vouch(options.key, options.clusterId, claim),
    settings: {
      electionTimeoutMs: config.electionTimeoutMs,
      heartbeatIntervalMs: config.heartbeatIntervalMs,
      replicationWindow: { bytes: LIMITS.replicationWindowBytes, messages: LIMITS.replicationWindowMessages },
      quiescence: true,
    },
    diskPressure: space.pressure,
    cacheBytes: config.cacheBytes,
    storage,
    transport: countedTransport(metrics, links),
    clock: systemClock,
    logger: logging.logger('node'),
    random: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
    onUnknownGroup: () => metrics.messagesOfUnknownGroups.inc(),
    onFatal: options.onFatal,
  });
  space.onPressure((level) => host.diskPressureChanged(level));
  for (const group of storage.groups()) {
    host.add({
      group,
      ...(group === DEFAULT_GROUP ? { initialSettings: config.retention } : {}),
      observer: {
        ...observeReplica(self.actor, metrics, logging.logger('raft'), group),
        appended: ({ bytes }) => space.take(bytes.byteLength),
      },
      onMembership: group === DEFAULT_GROUP ? options.onMembership : () => undefined,
    });
  }
  return { links, host };
}

function countedEvents(metrics: Metrics, host: () => ReplicaHost): PeerEvents {
  return {
    onHeard: (from) => host().onHeard(from),
    onMessage: (from, group, message, records) => {
      metrics.messagesReceived.inc({ type: message.type });
      host().onMessage(from, group, message, records);
    },
    onClock: (from, message) => host().onClock(from, message),
    onForward: (from, group, body, stamp) => host().onForward(from, group, body, stamp),
    onLink: (peer, state) => host().onLink(peer, state),
    onFetch: (group, from, to) => host().onFetch(group, from, to),
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
