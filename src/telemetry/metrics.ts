import { collectDefaultMetrics, Registry } from 'prom-client';
import { ERRORS, type ErrorCode, isErrorCode } from '../base/index.js';
import type { LinkState } from '../group/index.js';
import type { DiskPressure, Message } from '../raft/index.js';
import { EventLoopDelayMonitor, EventLoopStalls } from './event-loop-delay.js';
import { type Instruments, instrumentsOf } from './instruments.js';

export const RAFT_ROLES = ['leader', 'follower', 'candidate', 'learner'] as const;

export type RaftRole = (typeof RAFT_ROLES)[number];

const DISK_PRESSURES = ['ok', 'low', 'full'] as const satisfies readonly DiskPressure[];

const LINK_STATES = ['open', 'closed', 'refused'] as const satisfies readonly LinkState[];

const MESSAGE_TYPES = [
  'vote-request',
  'vote-response',
  'append',
  'append-result',
  'heartbeat',
  'heartbeat-result',
  'timeout-now',
  'read-index-request',
  'read-index-response',
  'snapshot',
  'snapshot-result',
] as const satisfies readonly Message['type'][];

const ERROR_CODES: readonly ErrorCode[] = Object.keys(ERRORS).filter(isErrorCode);

/** Buckets from half a millisecond to the longest that a producer waits. */
const APPEND_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const PERSIST_SECONDS = [0.0001, 0.00025, ...APPEND_SECONDS];
const PERSIST_RECORDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

export type Metrics = RaftMetrics & TrafficMetrics & StorageMetrics & PeerMetrics & ProcessMetrics & Exposition;

type RaftMetrics = ReturnType<typeof raftMetrics>;
type TrafficMetrics = ReturnType<typeof trafficMetrics>;
type StorageMetrics = ReturnType<typeof storageMetrics>;
type PeerMetrics = ReturnType<typeof peerMetrics>;
type ProcessMetrics = ReturnType<typeof processMetrics>;

interface Exposition {
  /** Runs `callback` at each scrape, before anything is read: for gauges that mirror a state. */
  onCollect(callback: () => void): void;
  /** What /metrics answers, in Prometheus' text format. */
  exposition(): Promise<{ readonly contentType: string; readonly body: string }>;
  /** Stops what the process metrics sample by. */
  close(): void;
}

/** The metrics of one node, in a registry of their own. docs/metrics.md lists them; a test holds it to this. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const instruments = instrumentsOf(registry);
  const callbacks: (() => void)[] = [];
  const processGauges = processMetrics(instruments);
  const delay = new EventLoopDelayMonitor();
  const stalls = new EventLoopStalls();
  callbacks.push(() => {
    const { p50Seconds, p99Seconds, maxSeconds } = delay.read();
    processGauges.eventLoopDelayP50.set(p50Seconds);
    processGauges.eventLoopDelayP99.set(p99Seconds);
    processGauges.eventLoopDelayMax.set(maxSeconds);
    processGauges.eventLoopStallMax.set(stalls.longestSeconds);
  });
  addDefaultMetrics(registry);
  return {
    ...raftMetrics(instruments),
    ...trafficMetrics(instruments),
    ...storageMetrics(instruments),
    ...peerMetrics(instruments),
    ...processGauges,
    onCollect: (callback) => {
      callbacks.push(callback);
    },
    exposition: async () => {
      for (const callback of callbacks) callback();
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
    close: () => {
      delay.close();
      stalls.close();
    },
  };
}

function raftMetrics({ counter, gauge, gaugeByPeer, state }: Instruments) {
  return {
    raftTerm: gauge('flotilla_raft_term', "Raft's current term."),
    raftRole: state('flotilla_raft_role', '1 for the role that this node has, 0 for the others.', 'role', RAFT_ROLES),
    leaderKnown: gauge('flotilla_raft_leader_known', '1 while this node leads or knows the leader, else 0.'),
    raftGroups: gauge('flotilla_raft_groups', 'Raft groups that this node has a replica of.'),
    quiescedGroups: gauge(
      'flotilla_raft_quiesced_groups',
      'Raft groups of this node that have quiesced: nothing happens in them, and no heartbeats are sent.',
    ),
    electionsStarted: counter('flotilla_raft_elections_started_total', 'Elections that this node stood for.'),
    electionsWon: counter('flotilla_raft_elections_won_total', 'Elections that this node won.'),
    leadershipChanges: counter(
      'flotilla_raft_leadership_changes_total',
      'Times that this node saw another leader take over.',
    ),
    commitIndex: gauge(
      'flotilla_raft_commit_index',
      'Log index up to which this node knows that everything is on a majority.',
    ),
    appliedIndex: gauge('flotilla_raft_applied_index', 'Log index up to which consumers of this node are served.'),
    lastIndex: gauge('flotilla_raft_last_index', "Last index of this node's log."),
    matchIndex: gaugeByPeer(
      'flotilla_raft_match_index',
      'Leader only: log index up to which the peer is known to hold the log.',
    ),
    replicationLag: gaugeByPeer(
      'flotilla_raft_replication_lag_entries',
      'Leader only: log entries that the peer is behind the leader.',
    ),
  };
}

function trafficMetrics({ counter, counterBy, gauge, histogram }: Instruments) {
  return {
    eventsIn: counter('flotilla_events_in_total', 'Events that this node took from producers and acknowledged.'),
    bytesIn: counter(
      'flotilla_events_in_bytes_total',
      'Size of the batches that this node took from producers and acknowledged, as stored.',
    ),
    batchesIn: counter('flotilla_batches_in_total', 'Batches that this node took from producers and acknowledged.'),
    eventsOut: counter('flotilla_events_out_total', 'Events that this node sent to consumers.'),
    bytesOut: counter('flotilla_events_out_bytes_total', 'Size of the events that this node sent to consumers.'),
    appendSeconds: histogram(
      'flotilla_append_duration_seconds',
      'Leader only: from the proposal of a batch to its commit.',
      APPEND_SECONDS,
    ),
    forwarded: counter('flotilla_forwarded_batches_total', 'Batches that this node handed on to the leader.'),
    refusals: counterBy(
      'flotilla_refusals_total',
      'Batches that this node did not acknowledge, by error code.',
      'code',
      ERROR_CODES,
    ),
    knownAgain: counter(
      'flotilla_duplicate_batches_total',
      'Batches that a producer sent again, and that were answered with the ids they had.',
    ),
    outcomesUnknown: counter(
      'flotilla_outcomes_unknown_total',
      'Batches that were proposed here and whose fate was not learned.',
    ),
    produceStreams: gauge('flotilla_produce_streams', 'Open produce streams.'),
    readStreams: gauge('flotilla_read_streams', 'Open read streams.'),
  };
}

function storageMetrics({ counter, gauge, histogram, state }: Instruments) {
  return {
    persistSeconds: histogram(
      'flotilla_persist_duration_seconds',
      'Writing one group of records, fsync included.',
      PERSIST_SECONDS,
    ),
    persistRecords: histogram('flotilla_persist_records', 'Log records that one fsync made durable.', PERSIST_RECORDS),
    cacheBytes: gauge('flotilla_cache_bytes', "Size of the log's hot tail that is kept in memory."),
    diskFreeBytes: gauge(
      'flotilla_disk_free_bytes',
      'What the disk of the data directory has left, less what is on its way there.',
    ),
    diskMinFreeBytes: gauge('flotilla_disk_min_free_bytes', 'Below this no new events are taken.'),
    diskBallastBytes: gauge(
      'flotilla_disk_ballast_bytes',
      'Size of the ballast file, which lets the node start on a full disk.',
    ),
    diskPressure: state(
      'flotilla_disk_pressure',
      '1 for how much the disk takes, 0 for the others.',
      'state',
      DISK_PRESSURES,
    ),
    logBytes: gauge('flotilla_log_bytes', 'Size of the log records that this node stores.'),
    logBeginIndex: gauge(
      'flotilla_log_begin_index',
      "Log index after which this node's log begins: what stood before it was given up.",
    ),
    firstCounter: gauge('flotilla_stream_first_event', 'Counter of the first event that is delivered, or will be.'),
    eventsRemoved: counter(
      'flotilla_events_removed_total',
      'Events that are not delivered any more, as seen by this node while it ran.',
    ),
    scrubbedBytes: counter(
      'flotilla_scrubbed_bytes_total',
      'Size of the records in sealed segments that were verified in the background.',
    ),
    damageFound: counter(
      'flotilla_damage_found_total',
      'Times that damage was found in a sealed segment; none of it is served.',
    ),
    segmentsRepaired: counter(
      'flotilla_segments_repaired_total',
      'Sealed segments that were rebuilt from what was sound in them and from other members.',
    ),
    recordsFetched: counter(
      'flotilla_repair_records_fetched_total',
      'Log records that were fetched from other members to repair segments.',
    ),
    newBeginnings: counter(
      'flotilla_new_beginnings_total',
      'Times that this node set its data aside, because it can not be relied on, and asked to be taken in anew.',
    ),
  };
}

function peerMetrics({ counter, counterBy, gaugeByPeer, stateByPeer }: Instruments) {
  return {
    clockSkew: gaugeByPeer(
      'flotilla_clock_skew_seconds',
      "How far the peer's clock is ahead of this node's; less than 0: behind.",
    ),
    peerLinks: stateByPeer(
      'flotilla_peer_link_state',
      '1 for the state of the link to the peer, 0 for the others.',
      LINK_STATES,
    ),
    messagesSent: counterBy(
      'flotilla_peer_messages_sent_total',
      'Raft messages handed to a link.',
      'type',
      MESSAGE_TYPES,
    ),
    messagesOfUnknownGroups: counter(
      'flotilla_peer_messages_of_unknown_groups_total',
      'Raft messages that came in for a group that this node does not have, and were dropped.',
    ),
    messagesReceived: counterBy(
      'flotilla_peer_messages_received_total',
      'Raft messages that came in.',
      'type',
      MESSAGE_TYPES,
    ),
  };
}

function processMetrics({ counter, gauge }: Instruments) {
  return {
    eventLoopDelayP50: gauge(
      'flotilla_event_loop_delay_p50_seconds',
      'Median delay of the event loop over the last ten seconds or more.',
    ),
    eventLoopDelayP99: gauge(
      'flotilla_event_loop_delay_p99_seconds',
      '99th percentile of the delay of the event loop over the last ten seconds or more.',
    ),
    eventLoopDelayMax: gauge(
      'flotilla_event_loop_delay_max_seconds',
      'Longest delay of the event loop over the last ten seconds or more.',
    ),
    eventLoopStallMax: gauge(
      'flotilla_event_loop_stall_max_seconds',
      'Longest time since the start for which the event loop stood still while the process was at work: what ' +
        'waits for the processor does not count.',
    ),
    logLinesDropped: counter('flotilla_log_lines_dropped_total', 'Log lines lost because they could not be written.'),
  };
}

/**
 * process_* and nodejs_*: CPU, memory, descriptors, garbage collection. Left out:
 * gauges that are misnamed `_total`, for which promtool complains, and the
 * package's own event-loop figures, which ours replace; its sampler can't be
 * kept out, but it can be kept from waking an idle node a hundred times a second.
 */
function addDefaultMetrics(registry: Registry): void {
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 10_000 });
  for (const { name, type } of registry.getMetricsAsArray()) {
    const misnamed = name.endsWith('_total') && String(type) !== 'counter';
    if (misnamed || name.startsWith('nodejs_eventloop_lag')) registry.removeSingleMetric(name);
  }
}
