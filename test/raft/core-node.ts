import {
  type ActorId,
  assert,
  groupId,
  type LogIndex,
  logIndex,
  present,
  type Random,
  type Term,
  term,
} from '../../src/base/index.js';
import { SnapshotReceiver } from '../../src/group/snapshot-receiver.js';
import { SnapshotSender } from '../../src/group/snapshot-sender.js';
import {
  type Configuration,
  type DiskPressure,
  type EntryInfo,
  type HardState,
  type IndexedConfiguration,
  type MemberChange,
  type Message,
  type PersistStep,
  RaftCore,
  type ReadResult,
  type Settings,
  type SnapshotChunk,
  type TermStart,
} from '../../src/raft/index.js';
import { ServerState } from '../../src/raft/server-state.js';

/** A log entry with a body that a person can read. */
export interface LogEntry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly data: string;
  readonly configuration?: Configuration;
}

/** A message on its way, with the entries of an append. */
export interface Packet {
  readonly from: ActorId;
  readonly to: ActorId;
  readonly message: Message;
  readonly entries: readonly LogEntry[];
}

/**
 * What survives a crash. The state that a snapshot stands for is the history
 * itself: `entries` begins with the first entry that ever was, the log after `begin`.
 */
export interface Disk {
  hardState: HardState;
  begin: TermStart;
  entries: LogEntry[];
  commitIndex: LogIndex;
}

export interface Write {
  readonly step: PersistStep;
  readonly snapshot: readonly LogEntry[];
  readonly entries: readonly LogEntry[];
}

export interface CoreNodeOptions {
  readonly self: ActorId;
  readonly configuration: Configuration;
  readonly disk: Disk;
  readonly settings: Settings;
  readonly diskPressure: DiskPressure;
  readonly random: Random;
  readonly nowMs: number;
  /** How many entries one append carries at most. */
  readonly entriesPerAppend: number;
}

function replaceLog(disk: Disk, snapshot: readonly LogEntry[]): void {
  const { index, term: lastTerm } = present(snapshot.at(-1), 'a snapshot stands for entries');
  disk.begin = { index, term: lastTerm };
  disk.entries = [...snapshot];
}

/** Small, so that a snapshot takes several. */
const SNAPSHOT_CHUNK_BYTES = 100;

export function emptyDisk(): Disk {
  return {
    hardState: { term: term(0), vote: undefined },
    begin: { index: logIndex(0), term: term(0) },
    entries: [],
    commitIndex: logIndex(0),
  };
}

/**
 * One server as a driver sees it: the core under test, the log's bodies, and a
 * disk whose writes end when the test says so. It does what `src/group` does,
 * in the same order, without time, files or network.
 */
export class CoreNode {
  readonly self: ActorId;
  readonly core: RaftCore;
  readonly disk: Disk;
  /** The log as the core sees it; the entry of index i stands at i - 1. */
  readonly entries: LogEntry[];
  /** What was sent and reads that were settled, until the test takes them. */
  outbox: Packet[] = [];
  reads: ReadResult[] = [];
  writeUnderWay: Write | undefined;
  /** Lowest index that was written over or removed since a test last set this; Infinity: none. */
  changedFrom = Number.POSITIVE_INFINITY;
  campaigns = 0;
  snapshots = 0;
  private readonly firstConfiguration: Configuration;
  private readonly entriesPerAppend: number;
  private readonly snapshotSender: SnapshotSender;
  private readonly snapshotReceiver = new SnapshotReceiver();

  constructor(options: CoreNodeOptions) {
    const { self, disk, settings, diskPressure, random, nowMs } = options;
    this.self = self;
    this.disk = disk;
    this.entries = [...disk.entries];
    this.firstConfiguration = options.configuration;
    this.entriesPerAppend = options.entriesPerAppend;
    this.core = new RaftCore({
      self,
      settings,
      diskPressure,
      random,
      nowMs,
      hardState: disk.hardState,
      begin: disk.begin,
      termStarts: termStartsOf(disk.entries).filter(({ index }) => index > disk.begin.index),
      lastIndex: logIndex(disk.entries.length),
      configurations: [
        this.inForceAt(disk.begin.index),
        ...configurationsOf(disk.entries).filter(({ index }) => index > disk.begin.index),
      ],
      commitIndex: logIndex(Math.max(disk.begin.index, disk.commitIndex)),
    });
    this.snapshotSender = new SnapshotSender({
      group: groupId(1),
      core: this.core,
      load: () => Buffer.from(JSON.stringify(this.entries.slice(0, this.core.beginIndex))),
      transport: {
        send: (to, _group, message) => {
          this.send({ from: this.self, to, message, entries: [] });
          return true;
        },
      },
      inbox: {
        fail: (error) => {
          throw error;
        },
      },
      chunkBytes: SNAPSHOT_CHUNK_BYTES,
    });
  }

  /** The state behind the core, for white-box checks. */
  get server(): ServerState {
    const server: unknown = Reflect.get(this.core, 'server');
    assert(server instanceof ServerState, 'the core keeps its state in `server`');
    return server;
  }

  tick(nowMs: number): void {
    this.core.tick(nowMs);
    this.drive(nowMs);
  }

  receive(packet: Packet, nowMs: number): void {
    this.core.step(packet.from, packet.message, nowMs);
    this.drive(nowMs, packet.entries);
  }

  /** Undefined where it was refused. */
  propose(data: string, nowMs: number): LogIndex | undefined {
    const index = this.core.propose(nowMs);
    if (index !== undefined) this.put({ index, term: this.core.term, data });
    this.drive(nowMs);
    return index;
  }

  /** Undefined where it was refused; throws where it makes no sense. */
  changeMembers(changes: readonly MemberChange[], nowMs: number): LogIndex | undefined {
    const index = this.core.changeMembers(changes, nowMs);
    this.drive(nowMs);
    return typeof index === 'string' ? undefined : index;
  }

  /** The entries up to `index`, which is settled, are given up. */
  cutThrough(index: LogIndex, nowMs: number): void {
    this.core.cutThrough(index);
    this.disk.begin = { index, term: present(this.entries[index - 1], 'a settled entry is in the log').term };
    this.drive(nowMs);
  }

  linkChanged(peer: ActorId, state: 'open' | 'closed' | 'refused', nowMs: number): void {
    this.core.linkChanged(peer, state, nowMs);
    this.drive(nowMs);
  }

  peerPresence(peer: ActorId, state: 'present' | 'silent', nowMs: number): void {
    this.core.peerPresence(peer, state, nowMs);
    this.drive(nowMs);
  }

  diskPressureChanged(level: DiskPressure, nowMs: number): void {
    this.core.diskPressureChanged(level, nowMs);
    this.drive(nowMs);
  }

  transferLeadership(to: ActorId | undefined, nowMs: number): boolean {
    const begun = this.core.transferLeadership(to, nowMs);
    this.drive(nowMs);
    return begun;
  }

  readIndex(requestId: number, nowMs: number): boolean {
    const asked = this.core.readIndex(requestId, nowMs);
    this.drive(nowMs);
    return asked;
  }

  /** The write under way reaches the disk. */
  completeWrite(nowMs: number): void {
    const write = present(this.writeUnderWay, `node ${this.self} writes nothing`);
    this.writeUnderWay = undefined;
    this.store(write, Number.POSITIVE_INFINITY);
    this.disk.commitIndex = logIndex(Math.min(this.core.commitIndex, this.disk.entries.length));
    this.core.persisted(write.step, nowMs);
    this.drive(nowMs);
  }

  /**
   * The node dies. So many `operations` of the write under way are on disk, in the order in which a storage carries
   * them out: the hard state, the truncation, then entry by entry. True where something was lost.
   */
  crash(operations: number): boolean {
    const write = this.writeUnderWay;
    this.writeUnderWay = undefined;
    if (write !== undefined) this.store(write, operations);
    const ends = this.disk.entries.at(-1);
    return this.entries.length > this.disk.entries.length || ends?.term !== this.entries.at(-1)?.term;
  }

  private drive(nowMs: number, received: readonly LogEntry[] = []): void {
    this.carryOut(received);
    this.sendAppends(nowMs);
    this.core.sendCommitNotices();
    this.carryOut([]);
    const step = this.core.takePersistStep();
    if (step === undefined) return;
    const { snapshotIndex, fromIndex, throughIndex } = step;
    this.writeUnderWay = {
      step,
      snapshot: this.entries.slice(0, snapshotIndex ?? 0),
      entries: this.entries.slice(fromIndex - 1, throughIndex),
    };
  }

  private carryOut(received: readonly LogEntry[]): void {
    const output = this.core.takeOutput();
    const { acceptedFrom, ownEntries, snapshotChunk } = output;
    if (snapshotChunk !== undefined) this.takeChunk(snapshotChunk.from, snapshotChunk.message);
    for (const result of output.snapshotResults) this.snapshotSender.answered(result);
    if (acceptedFrom !== undefined)
      for (const entry of received.filter(({ index }) => index >= acceptedFrom && index <= this.core.lastIndex))
        this.put(entry);
    for (const { index, configuration } of ownEntries) {
      const entry = { index, term: this.core.term };
      this.put(
        configuration === undefined
          ? { ...entry, data: 'no-op' }
          : { ...entry, data: describeConfiguration(configuration), configuration },
      );
    }
    for (const { to, message } of output.messages) this.send({ from: this.self, to, message, entries: [] });
    this.reads.push(...output.reads);
    this.campaigns += output.campaigns;
  }

  private takeChunk(from: ActorId, chunk: SnapshotChunk): void {
    const { receivedBytes, whole } = this.snapshotReceiver.take(chunk);
    this.core.snapshotReceived(from, chunk.index, receivedBytes);
    if (whole === undefined) return;
    this.snapshots++;
    this.changedFrom = Math.min(this.changedFrom, this.core.commitIndex + 1);
    const history = JSON.parse(Buffer.from(whole).toString()) as LogEntry[];
    this.entries.splice(0, this.entries.length, ...history);
    this.core.installSnapshot({ index: chunk.index, term: chunk.indexTerm }, this.inForceAt(chunk.index));
  }

  private inForceAt(index: LogIndex): IndexedConfiguration {
    const set = configurationsOf(this.entries).findLast((placed) => placed.index <= index);
    return set ?? { index: logIndex(0), configuration: this.firstConfiguration };
  }

  private sendAppends(nowMs: number): void {
    for (const peer of this.core.followers) {
      const snapshot = this.core.takeSnapshotPlan(peer);
      if (snapshot !== undefined) this.snapshotSender.begin(snapshot);
      for (let plan = this.core.planAppend(peer); plan !== undefined; plan = this.core.planAppend(peer)) {
        const entries = this.entries.slice(plan.previousIndex, plan.previousIndex + this.entriesPerAppend);
        const infos = entries.map(infoOf);
        const message = present(this.core.fillAppend(plan, infos, nowMs), 'a plan of this very turn still holds');
        this.send({ from: this.self, to: peer, message, entries });
      }
    }
  }

  private send(packet: Packet): void {
    this.outbox.push(packet);
  }

  private put(entry: LogEntry): void {
    assert(entry.index <= this.entries.length + 1, `entry ${entry.index} leaves a gap`);
    if (entry.index <= this.entries.length) this.entries.length = entry.index - 1;
    this.entries.push(entry);
    this.changedFrom = Math.min(this.changedFrom, entry.index);
  }

  private store({ step, snapshot, entries }: Write, operations: number): void {
    let left = operations;
    const { hardState, snapshotIndex, truncateAfter } = step;
    if (hardState !== undefined && left-- > 0) this.disk.hardState = hardState;
    if (snapshotIndex !== undefined && left-- > 0) replaceLog(this.disk, snapshot);
    if (truncateAfter !== undefined && left-- > 0)
      this.disk.entries.length = Math.min(truncateAfter, this.disk.entries.length);
    for (const entry of entries) {
      if (left-- <= 0) return;
      assert(entry.index === this.disk.entries.length + 1, `entry ${entry.index} does not follow the stored log`);
      this.disk.entries.push(entry);
    }
  }
}

export function termStartsOf(entries: readonly LogEntry[]): TermStart[] {
  return entries
    .filter((entry, position) => entries[position - 1]?.term !== entry.term)
    .map(({ index, term: entryTerm }) => ({ index, term: entryTerm }));
}

/** `1,2 from 1,3 learning 4`: as transcripts show it. */
export function describeConfiguration({ voters, outgoing, learners }: Configuration): string {
  const parts = [
    `${voters}`,
    ...(outgoing.length > 0 ? [`from ${outgoing}`] : []),
    ...(learners.length > 0 ? [`learning ${learners}`] : []),
  ];
  return parts.join(' ');
}

function configurationsOf(entries: readonly LogEntry[]): IndexedConfiguration[] {
  return entries.flatMap(({ index, configuration }) => (configuration === undefined ? [] : [{ index, configuration }]));
}

function infoOf({ index, term: entryTerm, data, configuration }: LogEntry): EntryInfo {
  const info = { index, term: entryTerm, bytes: 100 };
  if (configuration !== undefined) return { ...info, configuration };
  return data === 'no-op' ? info : { ...info, holdsEvents: true };
}
