import { mkdir, mkdtemp, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type ActorId, actorId, FlotillaError, messageOf } from '../base/index.js';
import { actorsIn, nodePathOf } from '../storage/directory/index.js';
import { systemCodeOf } from '../storage/disk/index.js';
import { lockDirectory } from '../storage/level/index.js';

/** Which node is meant; it must not run. */
export interface StoppedNodeAddress {
  readonly dataDir: string;
  readonly actor: number;
}

/** The actors whose folders are in a data directory, ascending. */
export async function nodesIn(dataDir: string): Promise<number[]> {
  return await actorsIn(resolve(dataDir));
}

/** A stopped node's folder that is looked at and not changed. */
export interface HeldNode {
  readonly path: string;
  readonly actor: ActorId;
  /** Empty, of this process alone, and removed afterwards. */
  readonly scratchPath: string;
}

/**
 * Runs `action` while the node can't be started, and without writing a byte to
 * its folder. The lock that a node holds is a kernel lock on `lock/LOCK`: a
 * database elsewhere whose own `LOCK` is a link to that file takes the very same
 * one. Throws INVALID_ARGUMENT where there is no such node, and where it runs.
 */
export async function withHeldNode<Result>(
  { dataDir, actor: number }: StoppedNodeAddress,
  action: (node: HeldNode) => Promise<Result>,
): Promise<Result> {
  const actor = actorId(number);
  const path = nodePathOf(resolve(dataDir), actor);
  if (!(await isThere(path)))
    throw new FlotillaError('INVALID_ARGUMENT', `${path} is not there: look at --data-dir and --actor-id`);
  const scratchPath = await mkdtemp(join(tmpdir(), 'flotilla-'));
  try {
    const release = await hold(path, actor, scratchPath);
    try {
      return await action({ path, actor, scratchPath });
    } finally {
      await release();
    }
  } finally {
    await rm(scratchPath, { recursive: true, force: true });
  }
}

async function hold(path: string, actor: ActorId, scratchPath: string): Promise<() => Promise<void>> {
  const lockFile = join(path, 'lock', 'LOCK');
  // No process has ever held what is not there; made here, it would be a change.
  if (!(await isThere(lockFile))) return async () => undefined;
  const lockPath = join(scratchPath, 'lock');
  await mkdir(lockPath);
  await symlink(lockFile, join(lockPath, 'LOCK'));
  try {
    const lock = await lockDirectory(lockPath);
    if (lock !== undefined) return () => lock.release();
  } catch (error) {
    // Nobody can run on what nobody can write to.
    if (messageOf(error).includes('Read-only file system')) return async () => undefined;
    throw error;
  }
  throw new FlotillaError(
    'INVALID_ARGUMENT',
    `actor ${actor} is running on ${path}: stop it first, or ask it over the network (flotilla dump -H HOST, ` +
      'flotilla cluster status)',
  );
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR') return false;
    throw new FlotillaError('INVALID_ARGUMENT', `${path} can't be read: ${messageOf(error)}`, { cause: error });
  }
}
