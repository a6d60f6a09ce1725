import { join } from 'node:path';
import type { ActorId } from '../base/index.js';
import type { Member } from '../wire/index.js';
import { readCheckedFile, replaceCheckedFile } from './checked-file.js';
import type { Disk } from './disk.js';
import { machineDisk } from './machine-disk.js';

const IDENTITY_FORMAT = 1;

/** Who a data directory is. */
export interface NodeIdentity {
  readonly format: typeof IDENTITY_FORMAT;
  readonly actor: ActorId;
  /** Random, made with the directory; 32 hexadecimal digits. */
  readonly instance: string;
  /** Starts so far; peers that remember a greater one know that the disk was rolled back. */
  readonly bootCounter: number;
  /** The cluster that the node belongs to, 32 hexadecimal digits; absent before it was formed. */
  readonly clusterId?: string;
  /** The founding members that this node has promised to begin with; absent before. */
  readonly promised?: readonly Member[];
}

export function newIdentity(actor: ActorId, instance: string): NodeIdentity {
  return { format: IDENTITY_FORMAT, actor, instance, bootCounter: 0 };
}

/** Undefined where there is none. Throws DATA_LOSS where it is damaged, FOREIGN_NODE where its format is another. */
export async function readIdentity(nodePath: string, disk: Disk = machineDisk): Promise<NodeIdentity | undefined> {
  return readCheckedFile<NodeIdentity>(disk, identityPath(nodePath), IDENTITY_FORMAT);
}

/** Durable when it resolves; a crash leaves the one before or this one. */
export async function writeIdentity(nodePath: string, identity: NodeIdentity, disk: Disk = machineDisk): Promise<void> {
  await replaceCheckedFile(disk, identityPath(nodePath), identity);
}

export function identityPath(nodePath: string): string {
  return join(nodePath, 'identity');
}
