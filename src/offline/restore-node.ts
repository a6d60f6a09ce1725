import { join, resolve } from 'node:path';
import { type ActorId, defaultSegmentBytes, FlotillaError, type GroupId, LIMITS } from '../base/index.js';
import { CLUSTER_GROUP, CLUSTER_GROUP_NAME, MACHINES } from '../cluster/index.js';
import type { Clock } from '../group/index.js';
import { CLUSTER_KIND } from '../machine/cluster/index.js';
import { STREAM_KIND } from '../machine/stream/index.js';
import {
  groupsPathOf,
  makeDirectories,
  type NodeIdentity,
  newIdentity,
  nodePathOf,
  writeIdentity,
} from '../storage/directory/index.js';
import type { Disk } from '../storage/disk/index.js';
import { type LevelStorage, openStorage } from '../storage/index.js';
import { lockDirectory, nodeDisk } from '../storage/level/index.js';
import { incarnationOf } from '../stream/index.js';
import { type Checkpoint, type LogRecord, type LogTail, tailAfter } from '../wire/index.js';
import { type BackupFolder, tailOf } from './backup-folder.js';
import { beginNewCluster } from './new-cluster-membership.js';
import { cutRecord, type RestorePoint } from './restore-point.js';

export interface RestoreOptions {
  readonly backup: BackupFolder;
  readonly dataDir: string;
  readonly actor: ActorId;
  /** Random; 32 hexadecimal digits each. */
  readonly clusterId: string;
  readonly incarnation: string;
  readonly group: GroupId;
  readonly clock: Clock;
  /** Default: {@link nodeDisk}. */
  readonly disk?: Disk;
  /** Default: `defaultSegmentBytes()`. */
  readonly segmentBytes?: number;
  /** Absent: everything. */
  readonly point?: RestorePoint | undefined;
  /** Called with what has been written so far. */
  readonly onProgress?: ((tail: LogTail) => void) | undefined;
}

export interface RestoredNode {
  readonly path: string;
  readonly begin: LogTail;
  /** The last record that was restored; the membership of the new cluster follows it. */
  readonly tail: LogTail;
}

/**
 * Makes of a backup the only member of a new cluster: the records as they were,
 * then a membership of this node alone, in a later term. All is made in a folder
 * that no start looks at, and gets the node's name when it is complete: a crash
 * leaves no node, or the restored one. What a crash left is made anew.
 *
 * Throws INVALID_ARGUMENT where the node's folder is there already or the point
 * is not in the backup, DATA_LOSS where the backup is damaged.
 */
export async function restoreNode(options: RestoreOptions): Promise<RestoredNode> {
  const { dataDir, actor, disk = nodeDisk } = options;
  const parent = resolve(dataDir);
  const path = nodePathOf(parent, actor);
  await requireAbsent(parent, path);
  const unfinished = join(parent, `restoring-${actor}`);
  await makeDirectories(unfinished);
  const lock = await lockDirectory(join(unfinished, 'lock'));
  if (lock === undefined)
    throw new FlotillaError('INVALID_ARGUMENT', `actor ${actor} is being restored in ${parent} by another process`);
  try {
    const restored = await fill(unfinished, options).finally(() => lock.release());
    await disk.rename(unfinished, path);
    await disk.syncDirectory(parent);
    return { path, ...restored };
  } catch (error) {
    // What can't be removed now is made anew by the next restore.
    await disk.remove(unfinished).catch(() => undefined);
    throw error;
  }
}

async function fill(path: string, options: RestoreOptions): Promise<Omit<RestoredNode, 'path'>> {
  const { actor, clusterId, clock, disk = nodeDisk } = options;
  await disk.remove(groupsPathOf(path));
  await disk.makeDirectory(groupsPathOf(path));
  const identity: NodeIdentity = { ...newIdentity(actor), clusterId };
  const restored = await restoreLog(path, identity, options);
  await beginNewCluster({ path, identity, clock, disk }, { clusterId, incarnations: new Map() });
  await writeIdentity(path, identity, disk);
  await disk.syncDirectory(path);
  return restored;
}

async function requireAbsent(parent: string, path: string): Promise<void> {
  await makeDirectories(parent);
  const names = await nodeDisk.list(parent);
  if (!names.some((name) => join(parent, name) === path)) return;
  throw new FlotillaError(
    'INVALID_ARGUMENT',
    `${path} is there already: restore into another --data-dir, or move the folder away`,
  );
}

async function restoreLog(
  path: string,
  identity: NodeIdentity,
  options: RestoreOptions,
): Promise<Omit<RestoredNode, 'path'>> {
  const { backup, clock, group, incarnation, disk = nodeDisk, segmentBytes = defaultSegmentBytes() } = options;
  const checkpoint: Checkpoint = { ...(await backup.readCheckpoint()), incarnation };
  requireWithin(options, checkpoint.before);
  const directory = { path, groupsPath: groupsPathOf(path), identity };
  const storage = await openStorage({ directory, clock, machines: MACHINES, disk, segmentBytes, indexing: false });
  try {
    const { before, membership } = checkpoint;
    await storage.createGroup({ group, incarnation, machine: STREAM_KIND.name, membership });
    // Without a record: the node founds its cluster when it starts.
    const { actor, instance } = identity;
    const alone = { voters: [actor], outgoing: [], learners: [], members: [{ actor, instance }] };
    const ofCluster = incarnationOf(options.clusterId, CLUSTER_GROUP_NAME);
    await storage.createGroup({
      group: CLUSTER_GROUP,
      incarnation: ofCluster,
      machine: CLUSTER_KIND.name,
      membership: alone,
    });
    const { term } = tailOf(backup.requireManifest());
    const snapshot = before.index > 0 ? { snapshot: checkpoint } : {};
    await storage.persist([{ group, records: [], hardState: { term, vote: undefined }, ...snapshot }]);
    return { begin: before, tail: await restoreRecords(storage, before, options) };
  } finally {
    await storage.close();
  }
}

/** Where the point is an event, it must be one of the backup's. */
function requireWithin({ backup, point }: RestoreOptions, begin: LogTail): void {
  if (point?.kind !== 'event') return;
  const last = tailOf(backup.requireManifest()).nextCounter - 1;
  if (point.counter >= begin.nextCounter && point.counter <= last) return;
  throw new FlotillaError(
    'INVALID_ARGUMENT',
    `the backup has no event ${point.counter}: ${eventsText(begin.nextCounter, last)}`,
  );
}

async function restoreRecords(
  storage: LevelStorage,
  begin: LogTail,
  { backup, group, point, onProgress }: RestoreOptions,
): Promise<LogTail> {
  let tail = begin;
  for await (const records of backup.records()) {
    let waiting: LogRecord[] = [];
    let bytes = 0;
    const write = async (): Promise<void> => {
      await storage.persist([{ group, records: waiting }]);
      waiting = [];
      bytes = 0;
      onProgress?.(tail);
    };
    for (const record of records) {
      const cut = point === undefined ? undefined : cutRecord(record, tail, point);
      const kept = cut === undefined ? record : cut.kept;
      if (kept !== undefined) {
        waiting.push(kept);
        tail = tailAfter(kept);
        bytes += kept.bytes.byteLength;
      }
      if (cut !== undefined) {
        requireEvents(tail, begin);
        await write();
        return tail;
      }
      if (bytes >= LIMITS.writeGroupBytes) await write();
    }
    await write();
  }
  return tail;
}

/** A time before all that there is was hardly meant. */
function requireEvents(tail: LogTail, begin: LogTail): void {
  if (tail.nextCounter === begin.nextCounter)
    throw new FlotillaError('INVALID_ARGUMENT', 'the backup has no event that is so old');
}

function eventsText(first: number, last: number): string {
  return last < first ? 'it has none' : `it has ${first} to ${last}`;
}
