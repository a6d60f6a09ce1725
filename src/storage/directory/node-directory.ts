import { access, constants, mkdir, readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import {
  type ActorId,
  assert,
  FlotillaError,
  type Member,
  messageOf,
  present,
  type Voucher,
} from '../../base/index.js';
import { systemCodeOf } from '../disk/index.js';
import { type DirectoryLock, lockDirectory, nodeDisk } from '../level/index.js';
import { groupIdOf, groupsPathOf } from './groups-folder.js';
import {
  identityPath,
  type NodeIdentity,
  newIdentity,
  readIdentity,
  startedAgain,
  writeIdentity,
} from './identity-file.js';
import { KnownMembers } from './known-members.js';

import { requireNoPlan } from './new-cluster-plan.js';
import { aloneWithDamage, identityAfter, predecessorOf, setGroupsAside } from './predecessor.js';

export interface NodeDirectoryOptions {
  /** Holds one folder per node, so that nodes of one host may share it; made where it is missing. */
  readonly dataDir: string;
  readonly actor: ActorId;
  /** Whether peers were named: without any, the first start forms a cluster of one. */
  readonly hasPeers: boolean;
}

const NODE_PREFIX = 'node-';

/** A node's folder in its data directory. */
export function nodePathOf(dataDir: string, actor: ActorId): string {
  return join(dataDir, `${NODE_PREFIX}${actor}`);
}

/**
 * Opens `<dataDir>/node-<actor>/` for this process alone and counts the start.
 * A member of a cluster of several whose identity or groups are gone begins
 * anew, as its own successor: see predecessor.ts. Else, where anything speaks against this being the same node as
 * before, it changes nothing and throws:
 *
 * - INVALID_ARGUMENT: it is in use, can't be written, or can't be meant;
 * - FOREIGN_NODE: it belongs to another actor, has another format, is damaged, or lacks what it should hold.
 */
export async function openNodeDirectory({ dataDir, actor, hasPeers }: NodeDirectoryOptions): Promise<NodeDirectory> {
  const path = nodePathOf(resolve(dataDir), actor);
  const others = (await actorsIn(dataDir)).filter((other) => other !== actor);
  if (!hasPeers && others.length > 0 && !(await exists(identityPath(path)))) throw notMeant(dataDir, actor, others);
  await writing(path, async () => {
    await makeDirectories(path);
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  });
  const lock = await lockDirectory(join(path, 'lock'));
  if (lock === undefined) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `actor ${actor} is already running on ${dataDir}: stop that process, or give this one another --actor-id ` +
        'or --data-dir',
    );
  }
  try {
    await requireNoPlan(nodeDisk, path);
    const known = await KnownMembers.open(nodeDisk, path);
    const identity = await establishIdentity(path, actor, known, hasPeers);
    return new NodeDirectory(path, identity, { lock, known, hasPeers });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** A node's folder, held by this process until it is closed. */
export class NodeDirectory {
  readonly path: string;
  /** What this node remembers of the others beside its log. */
  readonly known: KnownMembers;
  private readonly lock: DirectoryLock;
  private readonly hasPeers: boolean;
  private current: NodeIdentity;

  /** @internal Use {@link openNodeDirectory}. */
  constructor(
    path: string,
    identity: NodeIdentity,
    { lock, known, hasPeers }: { lock: DirectoryLock; known: KnownMembers; hasPeers: boolean },
  ) {
    this.path = path;
    this.current = identity;
    this.lock = lock;
    this.known = known;
    this.hasPeers = hasPeers;
  }

  get identity(): NodeIdentity {
    return this.current;
  }

  /** Where the groups are. */
  get groupsPath(): string {
    return groupsPathOf(this.path);
  }

  /**
   * Durably promises one set of founding members. A second, other set would let
   * two halves of the nodes form two clusters, so it is refused as a broken invariant.
   */
  async promise(members: readonly Member[]): Promise<void> {
    const { promised } = this.current;
    if (promised !== undefined) {
      assert(sameMembers(promised, members), 'a promised set of founding members is never replaced by another');
      return;
    }
    await this.change({ ...this.current, promised: members });
  }

  /**
   * Durably notes the cluster that the node belongs to from now on. Its groups
   * are made before: a crash in between then leaves empty groups, which the
   * next try replaces, and never a member without its data.
   */
  async joinCluster(clusterId: string): Promise<void> {
    if (this.current.clusterId === clusterId) return;
    assert(
      this.current.clusterId === undefined,
      `this node belongs to cluster ${this.current.clusterId} and was to join ${clusterId}`,
    );
    assert((await groupsIn(this.path)) > 0, 'the groups are made before the cluster is joined');
    const { predecessor: _, ...identity } = this.current;
    await this.change({ ...identity, clusterId, stampedBoot: identity.bootCounter });
  }

  /** Durably notes that this start has written its number into the hard state of every group. */
  async noteStamped(): Promise<void> {
    if (this.current.clusterId === undefined) return;
    await this.change({ ...this.current, stampedBoot: this.current.bootCounter });
  }

  /** Who the members are, as far as this node knows: see {@link KnownMembers.follow}. */
  async follow(
    clusterId: string,
    self: Member,
    known: { readonly members: readonly Member[]; readonly vouchers: readonly Voucher[] },
  ): Promise<void> {
    await this.known.follow(clusterId, { ...self, secret: this.current.secret }, known);
  }

  /**
   * The groups can't be relied on: they are set aside, and from here on this is
   * another node, which waits to be taken in in the place of the one it was; see
   * predecessor.ts. Nothing of them may be open. Resolves with where they are
   * now. Throws where there is nobody else, and then changes nothing.
   */
  async beginAnew(why: FlotillaError): Promise<string | undefined> {
    const { actor } = this.current;
    const predecessor = predecessorOf(actor, this.current, this.known.cluster, this.hasPeers, why.message);
    if (predecessor === undefined) throw this.current.clusterId === undefined ? why : aloneWithDamage(why, this.path);
    const aside = await setGroupsAside(this.path, this.groupsPath);
    await this.change(startedAgain(identityAfter(actor, predecessor)));
    return aside;
  }

  /** Gives the folder free for another process. */
  async close(): Promise<void> {
    await this.lock.release();
  }

  private async change(identity: NodeIdentity): Promise<void> {
    await writeIdentity(this.path, identity);
    this.current = identity;
  }
}

/**
 * Makes what is missing of a path, each new name durable: without its parents'
 * names the data would be gone after a power cut. Level by level, because
 * Node's recursive mkdir never ends where a file system such as /proc answers
 * ENOENT. Nodes that share a directory may all be making it at this moment.
 */
export async function makeDirectories(path: string): Promise<void> {
  const parent = dirname(path);
  if (!(await exists(parent))) await makeDirectories(parent);
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (systemCodeOf(error) === 'EEXIST') return;
    throw error;
  }
  await nodeDisk.syncDirectory(parent);
}

async function establishIdentity(
  path: string,
  actor: ActorId,
  known: KnownMembers,
  hasPeers: boolean,
): Promise<NodeIdentity> {
  const groups = await groupsIn(path);
  let identity: NodeIdentity;
  try {
    const found = await readSoundIdentity(path);
    requireSameNode(path, actor, found, groups);
    identity = found ?? newIdentity(actor);
  } catch (error) {
    identity = await successorOfDamaged(path, actor, known, hasPeers, error);
  }
  const started = startedAgain(identity);
  await writing(path, async () => {
    await mkdir(groupsPathOf(path), { recursive: true, mode: 0o700 });
    await writeIdentity(path, started);
  });
  return started;
}

/** An identity that was lost, or has lost its groups, is begun anew where others know it; else `error` stands. */
async function successorOfDamaged(
  path: string,
  actor: ActorId,
  known: KnownMembers,
  hasPeers: boolean,
  error: unknown,
): Promise<NodeIdentity> {
  if (!(error instanceof LostPart)) throw error;
  const predecessor = predecessorOf(actor, error.found, known.cluster, hasPeers, error.message);
  if (predecessor === undefined) throw error;
  await setGroupsAside(path, groupsPathOf(path));
  return identityAfter(actor, predecessor);
}

/** A part of the directory is gone without which it is not the node that it was. */
class LostPart extends FlotillaError {
  /** As far as it could be read. */
  readonly found: NodeIdentity | undefined;

  constructor(message: string, found: NodeIdentity | undefined, cause?: unknown) {
    super('FOREIGN_NODE', message, { cause });
    this.found = found;
  }
}

async function readSoundIdentity(path: string): Promise<NodeIdentity | undefined> {
  try {
    return await readIdentity(path);
  } catch (error) {
    if (!(error instanceof FlotillaError) || error.code !== 'DATA_LOSS') throw error;
    throw new LostPart(
      `${error.message}: put back a copy of this very file, without which the node can't say who it is, or ` +
        'restore a backup with "flotilla restore"',
      undefined,
      error,
    );
  }
}

function requireSameNode(path: string, actor: ActorId, found: NodeIdentity | undefined, groups: number): void {
  if (found === undefined) {
    if (groups === 0) return;
    throw new LostPart(
      `${path} holds data, but its identity file is missing: put the file back, or restore a backup with ` +
        '"flotilla restore"; or, to begin anew as an empty node, move the folder away',
      undefined,
    );
  }
  if (found.actor !== actor) {
    throw new FlotillaError(
      'FOREIGN_NODE',
      `${path} is the folder of actor ${found.actor}, not of actor ${actor}: was it copied or renamed? Start ` +
        `with --actor-id ${found.actor} under its own name, or move the folder away`,
    );
  }
  if (found.clusterId !== undefined && groups === 0) {
    throw new LostPart(
      `${path} belongs to cluster ${found.clusterId}, but its data is missing: restore the folder "groups", or a ` +
        'backup with "flotilla restore"; a node that forgot its votes must not come back under the same name',
      found,
    );
  }
}

/** The actors whose folders are in a data directory, ascending. */
export async function actorsIn(dataDir: string): Promise<number[]> {
  const names = await namesIn(dataDir);
  return names
    .filter((name) => name.startsWith(NODE_PREFIX))
    .map((name) => Number(name.slice(NODE_PREFIX.length)))
    .filter((actor) => Number.isInteger(actor))
    .sort((a, b) => a - b);
}

function notMeant(dataDir: string, actor: ActorId, others: readonly number[]): FlotillaError {
  const there = others.length === 1 ? `actor ${others[0]}` : `actors ${others.join(', ')}`;
  return new FlotillaError(
    'INVALID_ARGUMENT',
    `${dataDir} holds the data of ${there} and none of actor ${actor}: start with --actor-id ` +
      `${present(others[0], 'others are there')}, ` +
      'or with --peer-addr to form a cluster, or with another --data-dir for a new one',
  );
}

async function groupsIn(path: string): Promise<number> {
  const names = await namesIn(groupsPathOf(path));
  return names.filter((name) => groupIdOf(name) !== undefined).length;
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return [];
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `${path} can't be read: ${messageOf(error)}; choose another --data-dir, or give this user the right to read it`,
      { cause: error },
    );
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR') return false;
    throw error;
  }
}

/** Says in whole words what the operating system refuses. */
async function writing(path: string, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    if (error instanceof FlotillaError) throw error;
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `${path} can't be written: ${messageOf(error)}; choose another --data-dir, or give this user the right to ` +
        'write there',
      {
        cause: error,
      },
    );
  }
}

/** The same nodes: their addresses may be spelled differently. */
function sameMembers(first: readonly Member[], second: readonly Member[]): boolean {
  const key = (members: readonly Member[]): string =>
    JSON.stringify(members.map(({ actor, instance }) => `${actor}:${instance}`).sort());
  return key(first) === key(second);
}
