import {
  assert,
  type Counter,
  FlotillaError,
  type GroupId,
  type LogIndex,
  logIndex,
  present,
  type TimeBound,
} from '../../src/base/index.js';
import type { GroupLog, PersistRequest, RecoveredGroup, Storage } from '../../src/group/index.js';
import type { MachineKind, StateMachine } from '../../src/machine/index.js';
import type { HardState } from '../../src/raft/index.js';
import {
  type Checkpoint,
  decodeMembership,
  EMPTY_LOG_TAIL,
  follows,
  type LogRecord,
  type LogTail,
  type Membership,
  tailAfter,
} from '../../src/wire/index.js';

/** What runs on a group, as far as its storage goes. */
type StoredMachine = Pick<MachineKind<never, StateMachine>, 'initial' | 'decode'>;

/** What one group has on its disk. */
export interface GroupDisk {
  readonly machine: StoredMachine;
  hardState: HardState;
  /** What the first of `records` builds on. */
  checkpoint: Checkpoint;
  records: LogRecord[];
  commitIndex: LogIndex;
}

interface Call {
  readonly requests: readonly PersistRequest[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The storage port without a disk. What `persist` was given counts as durable
 * only once the call has resolved; a test may hold calls back, end them one by
 * one, and let one fail.
 */
export class MemoryStorage implements Storage {
  readonly disks: Map<GroupId, GroupDisk>;
  /** Calls that have not ended, oldest first. */
  readonly waiting: Call[] = [];
  /** While true, calls end only by {@link completeNext}. */
  held = false;
  readRequests = 0;
  /** Logs that were replaced by one. */
  snapshots = 0;
  private readonly logs = new Map<GroupId, MemoryLog>();
  private failure: { readonly error: unknown } | undefined;

  constructor(disks: Map<GroupId, GroupDisk>) {
    this.disks = disks;
    for (const [group, disk] of disks) this.logs.set(group, new MemoryLog(disk, () => this.readRequests++));
  }

  group(id: GroupId): MemoryLog {
    return present(this.logs.get(id), `group ${id} is not stored`);
  }

  persist(requests: readonly PersistRequest[]): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure.error);
    return new Promise((resolve, reject) => {
      this.waiting.push({ requests, resolve, reject });
      if (!this.held) queueMicrotask(() => this.completeAll());
    });
  }

  /** Carries out the oldest call that waits. */
  completeNext(): void {
    const call = present(this.waiting.shift(), 'no write is under way');
    this.snapshots += call.requests.filter(({ snapshot }) => snapshot !== undefined).length;
    try {
      for (const request of call.requests)
        apply(present(this.disks.get(request.group), `group ${request.group} is not stored`), request);
      call.resolve();
    } catch (error) {
      call.reject(error);
      this.fail(error);
    }
  }

  release(): void {
    this.held = false;
    this.completeAll();
  }

  /** The write under way fails, with all that wait and all that follow. */
  fail(error: unknown): void {
    this.failure ??= { error };
    for (const call of this.waiting.splice(0)) call.reject(error);
  }

  async close(): Promise<void> {
    this.completeAll();
  }

  private completeAll(): void {
    while (!this.held && this.waiting.length > 0) this.completeNext();
  }
}

class MemoryLog implements GroupLog {
  readonly recovered: RecoveredGroup;
  private readonly disk: GroupDisk;
  private readonly onRead: () => void;

  constructor(disk: GroupDisk, onRead: () => void) {
    this.disk = disk;
    this.onRead = onRead;
    this.recovered = recover(disk);
  }

  async read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<LogRecord[]> {
    this.onRead();
    const found: LogRecord[] = [];
    let bytes = 0;
    const { before } = this.disk.checkpoint;
    if (from <= before.index) throw new FlotillaError('POSITION_REMOVED', `record ${from} was given up`);
    for (const record of this.disk.records.slice(from - 1 - before.index, to - before.index)) {
      bytes += record.bytes.byteLength;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(record);
    }
    return found;
  }

  async indexOfCounter(sought: Counter): Promise<LogIndex | undefined> {
    return this.disk.records.find(
      ({ firstCounter, eventCount }) => sought >= firstCounter && sought < firstCounter + eventCount,
    )?.index;
  }

  async indexOfTime(isLate: TimeBound): Promise<LogIndex | undefined> {
    return this.disk.records.find(isLate)?.index;
  }

  /** Anywhere: as if each record had a segment of its own. */
  cutPoint(index: LogIndex): LogIndex {
    return logIndex(Math.max(index, this.disk.checkpoint.before.index));
  }

  async checkpointAt(index: LogIndex): Promise<Checkpoint> {
    return checkpointAt(this.disk, index);
  }

  /** Without an index. */
  search(): { next(): Promise<undefined> } {
    return { next: async () => undefined };
  }

  /** None ever: the state is made anew from the records. */
  checkpointDue(): undefined {
    return undefined;
  }

  async indexOfBytes(maxBytes: number): Promise<LogIndex | undefined> {
    let bytes = 0;
    const last = this.disk.records.findLast((record) => {
      if (record.kind === 'events') bytes += record.bytes.byteLength;
      return bytes > maxBytes;
    });
    return last === undefined ? undefined : logIndex(last.index + 1);
  }

  get storedBytes(): number {
    return this.disk.records.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  }

  async namespaces(): Promise<undefined> {
    return undefined;
  }

  noteCommitted(index: LogIndex): void {
    if (index > this.disk.commitIndex) this.disk.commitIndex = index;
  }
}

export function emptyGroupDisk(membership: Membership, machine: StoredMachine): GroupDisk {
  return {
    machine,
    hardState: { term: EMPTY_LOG_TAIL.term, vote: undefined },
    checkpoint: {
      incarnation: 'ab'.repeat(16),
      before: EMPTY_LOG_TAIL,
      membership,
      membershipIndex: logIndex(0),
      state: machine.initial().encode(),
    },
    records: [],
    commitIndex: logIndex(0),
  };
}

/** In the order of the real one: hard state, snapshot, truncation, records, cut. */
function apply(disk: GroupDisk, { snapshot, truncateAfter, records, hardState, cutThrough }: PersistRequest): void {
  if (hardState !== undefined) disk.hardState = hardState;
  if (snapshot !== undefined) {
    assert(snapshot.incarnation === disk.checkpoint.incarnation, 'a snapshot of another incarnation is of another log');
    assert(
      snapshot.before.index > disk.commitIndex,
      `record ${disk.commitIndex} is committed and was to give way to a snapshot`,
    );
    disk.checkpoint = snapshot;
    disk.records = [];
    disk.commitIndex = snapshot.before.index;
  }
  if (truncateAfter !== undefined) {
    assert(truncateAfter >= disk.commitIndex, `record ${truncateAfter + 1} is committed and was to be truncated`);
    disk.records.length = Math.min(disk.records.length, truncateAfter - disk.checkpoint.before.index);
  }
  for (const record of records) {
    assert(follows(tailOf(disk), record), `record ${record.index} does not continue the stored log`);
    assert(record.term <= disk.hardState.term, `record ${record.index} has a later term than the hard state`);
    disk.records.push(record);
  }
  if (cutThrough !== undefined && cutThrough > disk.checkpoint.before.index) {
    assert(cutThrough <= disk.commitIndex, `record ${cutThrough} is not known to be committed and was to be given up`);
    const checkpoint = checkpointAt(disk, cutThrough);
    disk.records = disk.records.filter(({ index }) => index > cutThrough);
    disk.checkpoint = checkpoint;
  }
}

function checkpointAt({ machine, checkpoint, records }: GroupDisk, index: LogIndex): Checkpoint {
  if (index === checkpoint.before.index) return checkpoint;
  const last = present(
    records.find((record) => record.index === index),
    `record ${index} is stored`,
  );
  const set = records.findLast((record) => record.kind === 'configuration' && record.index <= index);
  const inForce = set === undefined ? {} : { membership: decodeMembership(set.payload), membershipIndex: set.index };
  return { ...checkpoint, ...inForce, before: tailAfter(last), state: stateAt(machine, checkpoint, records, index) };
}

function stateAt(
  kind: StoredMachine,
  { state }: Checkpoint,
  records: readonly LogRecord[],
  index: LogIndex,
): Uint8Array {
  const machine = kind.decode(state);
  for (const record of records) if (record.index <= index) machine.apply(record);
  return machine.encode();
}

function recover(disk: GroupDisk): RecoveredGroup {
  const { machine, records, hardState, checkpoint } = disk;
  const configured = records
    .filter(({ kind }) => kind === 'configuration')
    .map(({ index, payload }) => ({ index, membership: decodeMembership(payload) }));
  const tail = tailOf(disk);
  const commitIndex = logIndex(Math.max(checkpoint.before.index, Math.min(disk.commitIndex, tail.index)));
  return {
    hardState,
    begin: checkpoint.before,
    tail,
    termStarts: records
      .filter(({ term }, position) => (records[position - 1] ?? checkpoint.before).term !== term)
      .map(({ index, term }) => ({ index, term })),
    memberships: [{ index: checkpoint.membershipIndex, membership: checkpoint.membership }, ...configured],
    commitIndex,
    state: stateAt(machine, checkpoint, records, commitIndex),
    incarnation: checkpoint.incarnation,
    machine: 'stream',
  };
}

function tailOf({ records, checkpoint }: GroupDisk): LogTail {
  const last = records.at(-1);
  return last === undefined ? checkpoint.before : tailAfter(last);
}
