import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type ActorId, LIMITS, type Member } from '../../base/index.js';
import { NodeKey } from '../../wire/index.js';
import { type Disk, readCheckedFile, replaceCheckedFile } from '../disk/index.js';

import { nodeDisk } from '../level/index.js';

const IDENTITY_FORMAT = 1;

/** Whom a node was before its data was damaged, and by whom it is to be taken in again. */
export interface Predecessor {
  readonly clusterId: string;
  readonly instance: string;
  /** By which it proves that it was that one; absent where that is lost: then somebody has to remove that one. */
  readonly secret?: string;
  /** The other members, as they were last known; none where only addresses given at start are left. */
  readonly members: readonly Member[];
  /** What was wrong with the data: a sentence. */
  readonly reason: string;
}

/** Who a data directory is. */
export interface NodeIdentity {
  readonly format: typeof IDENTITY_FORMAT;
  readonly actor: ActorId;
  /** Fingerprint of the directory's key, with which it was made; 32 hexadecimal digits. */
  readonly instance: string;
  /** That key: see `NodeKey`. A copy stands in the file of known members. */
  readonly secret: string;
  /** Starts so far; peers that remember a greater one know that the disk was rolled back. */
  readonly bootCounter: number;
  /**
   * Random ids of the latest starts, this one's last: of two starts with one number peers know which one they have
   * seen.
   */
  readonly boots: readonly string[];
  /** The last start that has written its number into the hard state of every group; absent before. */
  readonly stampedBoot?: number;
  /** The cluster that the node belongs to, 32 hexadecimal digits; absent before it was formed. */
  readonly clusterId?: string;
  /** The founding members that this node has promised to begin with; absent before. */
  readonly promised?: readonly Member[];
  /** Set while the node waits to be taken in in the place of this one. */
  readonly predecessor?: Predecessor;
}

export function newIdentity(actor: ActorId): NodeIdentity {
  const { instance, secret } = NodeKey.generate();
  return { format: IDENTITY_FORMAT, actor, instance, secret, bootCounter: 0, boots: [] };
}

/** The same node, started once more. */
export function startedAgain(identity: NodeIdentity): NodeIdentity {
  const boots = [...identity.boots, randomBytes(8).toString('hex')].slice(-LIMITS.bootsRemembered);
  return { ...identity, bootCounter: identity.bootCounter + 1, boots };
}

/** Undefined where there is none. Throws DATA_LOSS where it is damaged, FOREIGN_NODE where its format is another. */
export async function readIdentity(nodePath: string, disk: Disk = nodeDisk): Promise<NodeIdentity | undefined> {
  return readCheckedFile<NodeIdentity>(disk, identityPath(nodePath), IDENTITY_FORMAT);
}

/** Durable when it resolves; a crash leaves the one before or this one. */
export async function writeIdentity(nodePath: string, identity: NodeIdentity, disk: Disk = nodeDisk): Promise<void> {
  await replaceCheckedFile(disk, identityPath(nodePath), identity);
}

export function identityPath(nodePath: string): string {
  return join(nodePath, 'identity');
}
