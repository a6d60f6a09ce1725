const KiB = 1024;
const MiB = 1024 * KiB;

/**
 * Every bound of the system, in one place. Sizes are bytes unless the name ends
 * in another unit. What an operator may change is an option whose default
 * stands here.
 */
export const LIMITS = {
  // Events
  namespaceBytes: 1024,
  globBytes: 1024,
  /** type, contentType and metadata of one event, together. */
  attributeBytes: 8 * KiB,
  /** Default of --max-event-bytes: data of one event. */
  eventDataBytes: 1 * MiB,
  /** Upper end of what --max-event-bytes may be set to. */
  eventDataBytesMax: 16 * MiB,
  streamNameLength: 50,
  producerNameLength: 50,
  /** Counters stay below 2^53, so that they are exact numbers. */
  counterMax: Number.MAX_SAFE_INTEGER,
  actorIdMax: 65535,

  // Batches and messages
  eventsPerBatch: 65536,
  /** Pairs of metadata of all events of a batch together: what is made of each takes many times its bytes. */
  metadataPairsPerBatch: 262_144,
  /** Fields of one request, nested ones included: what is made of each takes many times its bytes … */
  requestFields: 65_536,
  /** … and of one that has events; more than the largest batch of the fullest events has. */
  batchRequestFields: 2_097_152,
  /**
   * A batch with more fields than this, or more bytes of a body, goes through a thread of its own: on the main thread
   * it would hold everything else up.
   */
  inlineRequestFields: 8192,
  inlineBodyBytes: 512 * KiB,
  /** The heap of that thread; what the largest batch takes there is some 200 MiB … */
  batchThreadBytes: 384 * MiB,
  /** … and how long it is kept for the next one. */
  batchThreadIdleMs: 30_000,
  /** Memory beside a message that may change threads with it. */
  messageSlackBytes: 4 * KiB,
  /** An encoded batch on its way in: the client closes a batch that waits at this size. */
  clientBatchBytes: 256 * KiB,
  /** One log entry collects waiting batches up to this size; a larger single batch has an entry of its own. */
  entryBytes: 1 * MiB,
  /** What headers and columns may take in a message beside its event data. */
  messageOverheadBytes: 4 * MiB,
  /** One append message between nodes carries records up to this size (or one larger record). */
  appendMessageBytes: 1 * MiB,

  // Producers: these four are part of a stream's replicated state, so another value needs another version of it.
  /** A stream remembers so many; beyond it the one silent longest is forgotten, one without a name first … */
  producers: 65_536,
  /** … or one that has been silent for so long, by log time. */
  producerIdleMs: 7 * 24 * 60 * 60 * 1000,
  /** … of which one record brings at most so much, however far log time leaps. */
  producerIdleStepMs: 60 * 60 * 1000,
  /** The last batches of each are remembered; a producer may not have more than these under way. */
  producerBatches: 16,
  /** Times gone by of which a node remembers how far the log reached, at least so far apart: see LogPositions. */
  logPositions: 64,
  logPositionMs: 100,

  /** Places of a stream's log where its time was set back that are remembered; part of its replicated state, too. */
  logTimeCorrections: 32,

  // What may wait
  /** Log entries appended but not yet fsynced here; beyond it proposals are refused. */
  unpersistedBytes: 32 * MiB,
  /** Batches that wait for their commit, per group. */
  pendingProposals: 65536,
  pendingProposalBytes: 64 * MiB,
  /** Appends on their way to one follower, unacknowledged. */
  replicationWindowBytes: 16 * MiB,
  replicationWindowMessages: 256,
  pendingReadIndexes: 65536,
  /** Batches of one produce stream that were taken in and not yet answered. */
  produceStreamInFlight: 1024,
  produceStreamInFlightBytes: 8 * MiB,
  /** Reads, lists of namespaces and backups that are open at once on one node. */
  openReads: 8192,
  /** What may wait for the next turn of readers' work, or for their memory … */
  waitingReaders: 65536,
  /** … and how long for memory, before it is refused. */
  readWaitMs: 10_000,
  /** Log records that a node holds for its readers while it goes through them. */
  readRecordsBytes: 64 * MiB,
  /** What one read takes of that until it is known how large the records are: so few go on at once. */
  readReservationBytes: 8 * MiB,
  /** A reader that takes nothing for so long gives up the records that it holds, and reads them again. */
  readStallMs: 250,
  /** Responses that were encoded for one call and not yet taken by its connection … */
  unsentBytesPerStream: 4 * MiB,
  /** … and for all calls of a node: where they are more, each gets a smaller part. */
  unsentBytes: 64 * MiB,
  /** While other calls wait for that, a call of which the connection has taken nothing for so long is ended. */
  unsentStallMs: 5_000,
  /** Lists of namespaces that are being made at once … */
  namespaceLists: 16,
  /** … and the names that one of them counts at a time, see talliedNamespaces. */
  talliedNamespaceBytes: 4 * MiB,
  /**
   * One read response message ends with the batch that reaches this: its buffers, twice that, are few and small enough
   * for the C library to give back.
   */
  readResponseBytes: 128 * KiB,

  // What may wait in a client
  /** Batches of one producer that were sent and not answered, at most as many as the stream remembers of it. */
  clientBatchesInFlight: 16,
  /** A client says "not writable" above these; see FlotillaClient.drained(). */
  clientBufferBytes: 16 * MiB,
  clientBufferCalls: 65536,
  /** Beyond these produce() is refused with TOO_MANY_REQUESTS. */
  clientPendingBytes: 256 * MiB,
  clientPendingCalls: 1048576,
  /** A larger batch travels alone, so that a node which finds it too large refuses nothing else with it. */
  clientLoneBatchBytes: 1 * MiB,
  /** Addresses that a client was given or learned. */
  clientHosts: 64,

  /** Stretches of ids that an import remembers, to find the new ids of parents: those it met last. */
  importedStretches: 262_144,

  // What comes in
  /**
   * What a node holds of requests: arriving, waiting for a handler, and of calls with one message until they are
   * answered …
   */
  inboundBytes: 128 * MiB,
  /** … from one address … */
  inboundBytesPerAddress: 96 * MiB,
  /** … and on one connection; more than the largest message. */
  inboundBytesPerConnection: 32 * MiB,
  /** A handler that has not taken so much of what was handed over is given no further message. */
  handedOverBytes: 256 * KiB,
  /** A request of a call without events, or of health and reflection, inflates to this at most. */
  inflatedBytes: 256 * KiB,
  /** The largest request of health and reflection. */
  standardRequestBytes: 64 * KiB,

  // Connections
  /** Open connections of one node's port. */
  connections: 4096,
  concurrentStreamsPerConnection: 4096,
  /** Messages of one stream that were handed over and not yet taken by the connection. */
  unsentMessagesPerStream: 8,
  metadataBytes: 16 * KiB,
  /** What a connection may hold for one stream of responses … */
  readWindowBytes: 3 * MiB,
  /** … and what is decoded and not taken; the message that reaches this may be the largest. */
  readAheadBytes: 1 * MiB,
  /** What a server's connection may have under way from its caller … */
  flowControlWindowBytes: 8 * MiB,
  /** … and one stream of it: a caller that sends more is held back. */
  streamWindowBytes: 1 * MiB,
  /** Beyond it a connection is given no further streams. */
  sessionMemoryBytes: 256 * MiB,
  /** A connection on which nothing moves is pinged this often … */
  keepaliveTimeMs: 10_000,
  /** … and closed where no answer comes for so long. */
  keepaliveTimeoutMs: 5_000,
  /** A connection without a call is closed after this time. */
  connectionIdleMs: 300_000,
  /** How long the socket of a connection that was given up waits for its peer to close as well. */
  connectionFarewellMs: 200,
  /** First wait before a lost connection is dialled again; it grows up to the maximum. */
  reconnectBackoffMs: 50,
  reconnectBackoffMsMax: 500,
  peerAddresses: 64,
  /**
   * The cluster's state keeps the vouchers of so many members, those that were taken in last: a node that was away
   * while more were does not find back by itself.
   */
  vouchers: 64,
  /** Members that have not caught up yet; further nodes wait for their turn. */
  learners: 16,
  /**
   * A message of a term so far ahead is refused: no cluster holds four thousand million elections, and terms must not
   * run out.
   */
  termsAhead: 2 ** 32,
  /**
   * Small messages to one peer that its connection has not yet taken; further ones are dropped, as a lost packet would
   * be.
   */
  peerControlBytes: 1 * MiB,
  /** The same for appends and forwarded batches. */
  peerBulkBytes: 32 * MiB,
  /** A peer's connection is pinged this often, and given up after the same time without an answer. */
  peerKeepaliveMs: 2_000,
  /** A dialled peer that has not let this node in after so long is dialled anew. */
  peerDialTimeoutMs: 2_000,

  // Storage
  /** Default of --segment-bytes … */
  segmentBytes: 64 * MiB,
  /**
   * … which is no more than this part of --max-cache-memory: LevelDB holds what is written in memory, and maps what is
   * read.
   */
  segmentsPerCache: 8,
  segmentBytesMin: 1 * MiB,
  segmentBytesMax: 1024 * MiB,
  /** What --min-free-space may be set to. */
  minFreeBytesMin: 1 * MiB,
  minFreeBytesMax: 1024 * 1024 * MiB,
  /** On a small disk a segment is at most this part of it: what opening one takes must be a little of what there is. */
  segmentsPerDisk: 32,
  /** Default of --max-cache-memory: the hot tail kept in memory. */
  cacheBytes: 64 * MiB,
  /**
   * A part of it, at most three quarters: what left the tail and V8 has not collected yet; it lets about as much pile
   * up.
   */
  uncollectedBytes: 48 * MiB,
  cacheBytesMin: 1 * MiB,
  cacheBytesMax: 64 * 1024 * MiB,
  /** One read of cold records. */
  readChunkBytes: 1 * MiB,
  /** Waiting writes are merged into one up to this size (or one larger write). */
  writeGroupBytes: 8 * MiB,
  /** Calls of persist that may wait behind the one under way. */
  pendingPersists: 65536,
  /** What stands before a log's begin, as it is sent to a follower that lacks it … */
  snapshotBytes: 256 * MiB,
  /** … and one piece of it. */
  snapshotChunkBytes: 512 * KiB,
  /**
   * A namespace with at most so many bytes in a run of records is copied into the namespace index, whatever records it
   * stands in.
   */
  copiedNamespaceBytes: 256 * KiB,
  /** Sealed segments whose LevelDB is held open for readers, over all groups of a node. */
  openSealedSegments: 2,
  /** How often a node asks how much space its disk has left … */
  spaceCheckMs: 500,
  /** … and after how many bytes written even sooner. */
  spaceCheckBytes: 4 * MiB,
  /** The ballast file holds what opening the largest write-ahead log takes, in multiples of this … */
  ballastUnitBytes: 256 * KiB,
  /** … at most so much ahead of it … */
  ballastAheadBytes: 8 * MiB,
  /** … and what a start, and a node that runs on a full disk, write of small things. */
  runningSpareBytes: 512 * KiB,
  /** Damages of one segment that `flotilla verify` names. */
  reportedDamages: 1000,
  /**
   * A glob's namespaces are looked up in as much of one segment's index; where more of it may match, the segment is
   * read as it is.
   */
  namespaceLookupBytes: 2 * MiB,
  /** Data that was found damaged and set aside: so many folders of it are kept. */
  damagedFolders: 1,
  /** Ids of its own latest starts that a node keeps and tells its peers. */
  bootsRemembered: 32,

  /** Sealed segments are verified in the background at this rate. */
  scrubBytesPerSecond: 8 * MiB,
  /** One read of it. */
  scrubReadBytes: 256 * KiB,
  /** One file of a backup, or one larger record; a backup holds as much in memory. */
  backupFileBytes: 32 * MiB,
  /**
   * Namespaces of records without an index that are counted at a time; where there are more, the records are read
   * again.
   */
  talliedNamespaces: 65536,
  /** One message of a list of namespaces. */
  listedNamespaces: 1024,

  // HTTP
  httpConnections: 256,
  httpHeaderBytes: 8 * KiB,
  httpHeaders: 64,
  /** How long a request's head, and the whole request, may take to arrive. */
  httpHeadersTimeoutMs: 5_000,
  httpRequestTimeoutMs: 10_000,
  /** A connection on which nothing moves is closed after this time; longer than a usual scrape interval. */
  httpIdleMs: 65_000,

  // Logs and settings
  /** Log lines that wait for a reader of stdout that has stalled; beyond it lines are dropped and counted. */
  logBufferBytes: 1 * MiB,
  /** How long a stopping node waits for such a reader. */
  logFlushMs: 1_000,
  configFileBytes: 256 * KiB,
  configFileAliases: 16,

  // Times
  electionTimeoutMs: 1000,
  electionTimeoutMsMin: 50,
  electionTimeoutMsMax: 60_000,
  heartbeatIntervalMs: 100,
  heartbeatIntervalMsMin: 10,
  /** A node whose main thread has stood still for so long ends itself. */
  watchdogTimeoutMs: 10_000,
  watchdogTimeoutMsMin: 1_000,
  watchdogTimeoutMsMax: 3_600_000,
  /** How long the marker of a write may wait for its fsync. */
  markerSyncMs: 50,
  /** How long a follower may not know of a commit that no append has told it of. */
  commitNoticeMs: 5,
  /** How long a node waits, after it stopped leading, for the fate of what it had proposed. */
  outcomeWaitMs: 2000,
  /** A sealed segment without a reader is closed after this time. */
  sealedSegmentIdleMs: 5000,
  readIndexTimeoutMs: 2000,
  /** How long a stop waits for producers to go over to the next leader … */
  changeOverMs: 250,
  /** … for batches under way to be answered … */
  drainMs: 3000,
  /** … and then for calls to end. */
  closeMs: 1000,
  shutdownMs: 8000,
  /** How long a voter has to take leadership over that it was handed. */
  transferMs: 3000,
  /**
   * How long a node that was removed from the cluster can still talk to the others, so that it may hear of its removal.
   */
  farewellMs: 1000,
  /** How long a change of the members may take before its outcome counts as unknown. */
  memberChangeMs: 10_000,
  /** How long a change of a stream may take before its outcome counts as unknown. */
  commandMs: 10_000,
  /** How often the leader looks, at most, whether a stream holds more than its settings allow … */
  retentionCheckMs: 1000,
  /** … and how soon again where that failed … */
  retentionRetryMs: 5000,
  /** … and how long, at most, before what is kept has its age looked at: the clock may be set meanwhile. */
  retentionAgeMs: 600_000,
  /** How often a node looks for members that are not where they were. */
  memberSearchMs: 500,
  /** How soon a leader tries again to bring the cluster's state or a configuration in line with the members. */
  memberRetryMs: 100,
  /** How often a node looks whether there is a leader, and says why not. */
  leaderCheckMs: 3000,
  /** How long a read that met damage waits for its repair … */
  repairWaitMs: 10_000,
  /** … one call that fetches records for it … */
  repairFetchMs: 3000,
  /** … and how soon what could not be repaired, or replicated for that reason, is tried again. */
  repairRetryMs: 1000,
  /** When the first round of verifying sealed segments begins after a start, and the next one after a round. */
  scrubDelayMs: 3000,
  scrubPauseMs: 600_000,
  /** How often a node asks each peer for its time of day … */
  clockAskMs: 2000,
  /** … and how long an answer counts … */
  clockReadingMs: 10_000,
  /** … while it gets less certain by this part of its age: far more than two quartzes part by. */
  clockDriftRate: 0.001,
  /**
   * Clocks that are further apart do not agree: far above what a machine is off whose time is kept, far below any age
   * that is worth a bound.
   */
  clockToleranceMs: 10_000,
  /**
   * How long, at most, a clock that nothing confirms has to go steadily before events are given up by it, or log time
   * set back.
   */
  clockTrustMs: 3_600_000,
  /** Questions to one peer without an answer that are remembered. */
  clockQuestions: 8,
  /** How long a client's call may take, retries included. */
  clientTimeoutMs: 30_000,
  /** How long a client looks for a first node that answers before it says UNREACHABLE. */
  clientConnectTimeoutMs: 5000,
  /** One attempt to connect to one node. */
  clientConnectAttemptMs: 2000,
  /** Between the attempts of a client; doubles from the first to the second. */
  clientBackoffMinMs: 25,
  clientBackoffMaxMs: 250,
  /** How long a client waits for a node that knows no leader to tell of one, before it asks the next node. */
  clientListenMs: 250,
  /** What is left of a call's time when a client makes no further attempt at it: a node that answers does so sooner. */
  clientAnswerMs: 200,
  /** How long a client waits for a producer to be opened before it asks again … */
  clientOpenAttemptMs: 3000,
  /** … and how long, where the cluster's version is too old, for it to be raised. */
  clientUpgradeMs: 3000,
  /** A client pings a silent connection so often, and leaves it where no answer comes: its node may be paused. */
  clientKeepaliveTimeMs: 3000,
  clientKeepaliveTimeoutMs: 3000,
  /** A client that follows no leader leaves a node that has refused everything for this time. */
  clientRefusedMs: 4000,
} as const;

/** How large segments are where no option says it. */
export function defaultSegmentBytes(cacheBytes: number = LIMITS.cacheBytes): number {
  return Math.max(
    LIMITS.segmentBytesMin,
    Math.min(LIMITS.segmentBytes, Math.floor(cacheBytes / LIMITS.segmentsPerCache)),
  );
}
