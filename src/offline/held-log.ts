import { join } from 'node:path';
import {
  type ActorId,
  FlotillaError,
  type GroupId,
  LIMITS,
  type LogIndex,
  logIndex,
  messageOf,
} from '../base/index.js';
import { StreamMachine } from '../machine/stream/index.js';
import { isOnlyVoter } from '../raft/index.js';
import { groupsPathOf, readIdentity } from '../storage/directory/index.js';
import { nodeDisk } from '../storage/level/index.js';
import { databasePath, readCheckpoint } from '../storage/segment/index.js';
import {
  decodeMembership,
  follows,
  type LogRecord,
  type LogTail,
  type Membership,
  openRecord,
  tailAfter,
} from '../wire/index.js';

import { type DatabaseView, withDatabaseView } from './database-view.js';
import { type Found, type FoundSegment, type GroupView, viewGroup } from './group-view.js';
import { type StoppedNodeAddress, withHeldNode } from './held-node.js';

/** What a stopped node holds of one group, as far as it can be said before its records are read. */
export interface HeldLogView {
  readonly incarnation: string;
  /** What stands before the first record. */
  readonly begin: LogTail;
  /** What the stream's records up to the begin have led to. */
  readonly state: StreamMachine;
  /** The log reaches at least up to here. */
  readonly heldIndex: LogIndex;
}

/** Verified records, in order, of which those up to `commitIndex` are known to be committed. */
export interface HeldRecords {
  readonly records: readonly LogRecord[];
  readonly commitIndex: LogIndex;
}

/** False ends the reading. */
export type TakeRecords = (held: HeldRecords, log: HeldLogView) => Promise<boolean>;

/**
 * Reads a stopped node's log from its begin, verified record by record, and
 * changes nothing. Throws DATA_LOSS at the first thing that is not what was
 * written, INVALID_ARGUMENT where there is no such node, and where it runs.
 */
export async function readHeldLog(
  { group, ...node }: StoppedNodeAddress & { readonly group: GroupId },
  begin: (log: HeldLogView) => Promise<void>,
  take: TakeRecords,
): Promise<void> {
  await withHeldNode(node, async ({ path, actor, scratchPath }) => {
    // Of a damaged identity no more is known; the log may be whole all the same.
    const identity = await readIdentity(path).catch(() => undefined);
    const view = await viewGroup(nodeDisk, join(groupsPathOf(path), String(group)), group, identity?.stampedBoot);
    if (view.older !== undefined) throw new FlotillaError('DATA_LOSS', `${view.hardState.path} is ${view.older}`);
    const { log, segments, commit } = await openView(view, actor);
    await begin(log);
    let tail = log.begin;
    for (const segment of segments) {
      requireContinuation(segment, tail);
      const database = databasePath(segment.directory);
      const end = await withDatabaseView(database, scratchPath, (opened) =>
        readSegment(opened, segment, tail, (records) => take({ records, commitIndex: commit.after(records) }, log)),
      );
      if (end === undefined) return;
      tail = end;
    }
    if (tail.index < log.heldIndex)
      throw new FlotillaError(
        'DATA_LOSS',
        `${path}: the log ends with record ${tail.index}, and the marker says that it held record ${log.heldIndex}`,
      );
  });
}

/**
 * How far a node knows its log to be committed: as far as its marker says, and
 * where it is the only voter, as far as its log goes, for nobody else has a say.
 */
class KnownCommit {
  private readonly actor: ActorId;
  private index: LogIndex;
  private isAlone: boolean;

  constructor(actor: ActorId, index: LogIndex, membership: Membership) {
    this.actor = actor;
    this.index = index;
    this.isAlone = isOnlyVoter(membership, actor);
  }

  /** As of these records, which follow those before. */
  after(records: readonly LogRecord[]): LogIndex {
    for (const { kind, index, payload } of records) {
      if (kind === 'configuration') this.isAlone = isOnlyVoter(decodeMembership(payload), this.actor);
      if (this.isAlone && index > this.index) this.index = index;
    }
    return this.index;
  }
}

async function openView(
  view: GroupView,
  actor: ActorId,
): Promise<{ log: HeldLogView; segments: FoundSegment[]; commit: KnownCommit }> {
  const marker = sound(view.marker.newest, view.marker.path);
  const used = (view.segments ?? []).filter(({ header, isEmpty }) => header.kind !== 'missing' || !isEmpty);
  const first = used.findIndex(
    ({ header }) => header.kind === 'sound' && header.content.before.index === marker.beginIndex,
  );
  const oldest = used[first];
  if (oldest === undefined)
    throw new FlotillaError('DATA_LOSS', `${view.path} holds no segment that begins after record ${marker.beginIndex}`);
  const { incarnation, before, machine, membership } = sound(oldest.header, oldest.directory);
  if (machine !== 'stream')
    throw new FlotillaError('INVALID_ARGUMENT', `${view.path} holds no stream, but a group of the kind ${machine}`);
  const { directory } = oldest;
  const state =
    before.index === 0
      ? StreamMachine.initial()
      : StreamMachine.decode(await readCheckpoint(nodeDisk, { directory, before }));
  return {
    log: { incarnation, begin: before, state, heldIndex: marker.index },
    segments: used.slice(first),
    commit: new KnownCommit(actor, marker.commitIndex, membership),
  };
}

function requireContinuation({ header, directory }: FoundSegment, tail: LogTail): void {
  const { before } = sound(header, directory);
  if (before.index === tail.index && before.checksum === tail.checksum) return;
  throw new FlotillaError(
    'DATA_LOSS',
    `${directory} builds on record ${before.index}, and the segment before it ends with record ${tail.index}`,
  );
}

function sound<Content>(found: Found<Content>, path: string): Content {
  if (found.kind === 'sound') return found.content;
  if (found.kind === 'damaged')
    throw found.why instanceof Error ? found.why : new FlotillaError('DATA_LOSS', `${path}: ${String(found.why)}`);
  throw new FlotillaError('DATA_LOSS', `${path} is missing`);
}

/** Resolves with what the segment ends with; undefined where nothing more is wanted. */
async function readSegment(
  database: DatabaseView,
  { directory, footer }: FoundSegment,
  before: LogTail,
  take: (records: readonly LogRecord[]) => Promise<boolean>,
): Promise<LogTail | undefined> {
  const last = footer.kind === 'sound' ? footer.content.tail.index : Number.MAX_SAFE_INTEGER;
  let tail = before;
  for (;;) {
    const values = tail.index >= last ? [] : await database.read(tail.index + 1, last, LIMITS.readChunkBytes);
    if (values.length === 0) break;
    const records: LogRecord[] = [];
    for (const value of values) {
      const record = verified(value, tail, directory);
      records.push(record);
      tail = tailAfter(record);
    }
    if (!(await take(records))) return undefined;
  }
  if (footer.kind !== 'sound' || footer.content.tail.checksum === tail.checksum) return tail;
  throw new FlotillaError(
    'DATA_LOSS',
    `${directory} ends with record ${tail.index}, and its footer says ${footer.content.tail.index}`,
  );
}

function verified(value: Uint8Array, tail: LogTail, directory: string): LogRecord {
  const index = logIndex(tail.index + 1);
  try {
    const record = openRecord(value);
    if (follows(tail, record)) return record;
  } catch (error) {
    if (error instanceof FlotillaError && error.code !== 'DATA_LOSS') throw error;
    throw new FlotillaError('DATA_LOSS', `record ${index} in ${directory}: ${messageOf(error)}`, { cause: error });
  }
  throw new FlotillaError(
    'DATA_LOSS',
    `record ${index} in ${directory} is missing, or does not continue the record before it`,
  );
}
