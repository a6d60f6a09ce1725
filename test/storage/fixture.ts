import { cp, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  actorId,
  type GroupId,
  groupId,
  type LogIndex,
  logIndex,
  type Member,
  seededRandom,
  term,
} from '../../src/base/index.js';
import { MACHINES } from '../../src/cluster/index.js';
import type { PersistRequest } from '../../src/group/index.js';
import { systemClock } from '../../src/group/system-clock.js';
import type { RecordKind } from '../../src/machine/index.js';
import { StreamMachine } from '../../src/machine/stream/index.js';
import type { Disk } from '../../src/storage/disk/disk.js';
import { type LevelStorage, type NodeDirectory, openNodeDirectory, openStorage } from '../../src/storage/index.js';
import {
  EMPTY_LOG_TAIL,
  encodeMembership,
  type LogRecord,
  type LogTail,
  type Membership,
  sealRecord,
  tailAfter,
} from '../../src/wire/index.js';

export const GROUP: GroupId = groupId(1);
export const INCARNATION = '0123456789abcdef0123456789abcdef';
export const CLUSTER = 'c'.repeat(32);

export function membersOf(...actors: number[]): Member[] {
  return actors.map((actor) => ({
    actor: actorId(actor),
    instance: String(actor).padStart(32, '0'),
    address: `127.0.0.1:${3000 + actor}`,
  }));
}

/** All of them vote. */
export function membershipOf(...actors: number[]): Membership {
  const members = membersOf(...actors).map(({ actor, instance }) => ({ actor, instance }));
  return { voters: actors.map(actorId), outgoing: [], learners: [], members };
}

/** A directory of its own for one test, removed afterwards. */
export async function scratchDirectory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'flotilla-storage-'));
  // What was opened in it may still be closing, and making files: removing is tried again then.
  afterwards(t, () => rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
  return path;
}

const undone = new WeakMap<TestContext, (() => Promise<void>)[]>();

/** After a test, what was done last first: a directory goes when what works in it is closed, and not before. */
function afterwards(t: TestContext, undo: () => Promise<void>): void {
  const undos = undone.get(t) ?? [];
  if (undos.length === 0) {
    undone.set(t, undos);
    t.after(async () => {
      for (const each of undos.toReversed()) await each();
    });
  }
  undos.push(undo);
}

/**
 * What a kill would leave of a directory: its files as they are at one instant.
 * Sealed segments become tables in the background, so the copy counts only where
 * nothing has changed while it was made.
 */
export async function copyOf(t: TestContext, path: string): Promise<string> {
  for (;;) {
    const copy = await scratchDirectory(t);
    const before = await listingOf(path);
    const isWhole = await cp(path, copy, { recursive: true }).then(() => true, isGone);
    if (isWhole && before === (await listingOf(path))) return copy;
    await rm(copy, { recursive: true });
  }
}

/** Every file with its size and the time of its last change; a file that went meanwhile is told by the next listing. */
async function listingOf(path: string): Promise<string> {
  const names = (await readdir(path, { recursive: true })).sort();
  const lines = names.map(async (name) => {
    const found = await stat(join(path, name), { bigint: true }).catch(isGone);
    return `${name} ${found && `${found.size} ${found.mtimeNs}`}`;
  });
  return (await Promise.all(lines)).join('\n');
}

function isGone(error: NodeJS.ErrnoException): false {
  if (error.code === 'ENOENT') return false;
  throw error;
}

export interface OpenNode {
  readonly directory: NodeDirectory;
  readonly storage: LevelStorage;
  readonly failures: unknown[];
  close(): Promise<void>;
}

/** Opens actor 1 of `dataDir`; whatever the test leaves open is closed after it. */
export async function openNode(
  t: TestContext | undefined,
  dataDir: string,
  segmentBytes = 64 * 1024,
  disk?: Disk,
): Promise<OpenNode> {
  const directory = await openNodeDirectory({ dataDir, actor: actorId(1), hasPeers: false });
  const failures: unknown[] = [];
  let storage: LevelStorage;
  try {
    storage = await openStorage({
      directory,
      clock: systemClock,
      machines: MACHINES,
      ...(disk === undefined ? {} : { disk }),
      segmentBytes,
      onFailure: (error) => failures.push(error),
    });
  } catch (error) {
    await directory.close();
    throw error;
  }
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= storage.close().finally(() => directory.close());
    return closed;
  };
  if (t !== undefined) afterwards(t, close);
  return { directory, storage, failures, close };
}

/** A node with one empty group, in its cluster. */
export async function newNode(t: TestContext, dataDir: string, segmentBytes?: number): Promise<OpenNode> {
  const node = await openNode(t, dataDir, segmentBytes);
  await node.storage.createGroup({
    group: GROUP,
    incarnation: INCARNATION,
    machine: 'stream',
    membership: membershipOf(1),
  });
  await node.directory.joinCluster(CLUSTER);
  return node;
}

interface RecordOptions {
  readonly kind?: RecordKind;
  readonly term?: number;
  readonly events?: number;
  readonly bytes?: number;
  readonly membership?: Membership;
  readonly timestampMs?: number;
  /** The byte that the payload consists of; without it, it can't be compressed, and lies on the disk as it is. */
  readonly fill?: number;
}

/** Seals records one after another, as a leader does. */
export class RecordChain {
  readonly records: LogRecord[] = [];
  private readonly origin: LogTail;

  constructor(origin: LogTail = EMPTY_LOG_TAIL) {
    this.origin = origin;
  }

  get tail(): LogTail {
    const last = this.records.at(-1);
    return last === undefined ? this.origin : tailAfter(last);
  }

  add(options: RecordOptions = {}): LogRecord {
    const kind = options.membership !== undefined ? 'configuration' : (options.kind ?? 'events');
    const payload = options.membership !== undefined ? encodeMembership(options.membership) : this.payload(options);
    const record = sealRecord(
      this.tail,
      {
        kind,
        term: term(options.term ?? Math.max(1, this.tail.term)),
        eventCount: kind === 'events' ? (options.events ?? 1) : 0,
        payloadBytes: payload.byteLength,
        ...(options.timestampMs === undefined ? {} : { appendedMs: options.timestampMs }),
      },
      (target) => target.set(payload),
    );
    this.records.push(record);
    return record;
  }

  addMany(count: number, options: RecordOptions = {}): LogRecord[] {
    return Array.from({ length: count }, () => this.add(options));
  }

  truncate(index: number): void {
    this.records.length = index - this.origin.index;
  }

  private payload({ bytes = 100, fill }: RecordOptions): Uint8Array {
    if (fill !== undefined) return new Uint8Array(bytes).fill(fill);
    const random = seededRandom(this.tail.index);
    return Uint8Array.from({ length: bytes }, () => Math.floor(random() * 256));
  }
}

/** A write with the hard state that its records need. */
export function append(records: readonly LogRecord[], truncateAfter?: number): PersistRequest[] {
  const last = records.at(-1);
  return [
    {
      group: GROUP,
      records,
      ...(last === undefined ? {} : { hardState: { term: last.term, vote: undefined } }),
      ...(truncateAfter === undefined ? {} : { truncateAfter: logIndex(truncateAfter) }),
    },
  ];
}

/** Everything that the group's log holds, read in chunks. */
export async function readAll(storage: LevelStorage, chunkBytes = 64 * 1024): Promise<LogRecord[]> {
  const log = storage.group(GROUP);
  const records: LogRecord[] = [];
  for (;;) {
    const from = logIndex((records.at(-1)?.index ?? log.recovered.begin.index) + 1);
    const part = await log.read(from, logIndex(Number.MAX_SAFE_INTEGER), chunkBytes);
    if (part.length === 0) return records;
    records.push(...part);
  }
}

/** The state that these records lead to. */
export function stateAfter(records: readonly LogRecord[]): Uint8Array {
  const machine = StreamMachine.initial();
  for (const record of records) machine.apply(record);
  return machine.encode();
}

export function checksums(records: readonly { index: LogIndex; checksum: number }[]): string[] {
  return records.map(({ index, checksum }) => `${index}:${checksum}`);
}

export function groupPath(dataDir: string): string {
  return join(dataDir, 'node-1', 'groups', String(GROUP));
}

export function segmentsPath(dataDir: string): string {
  return join(groupPath(dataDir), 'segments');
}
