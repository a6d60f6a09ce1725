import { join } from 'node:path';
import { FlotillaError, type GroupId } from '../../base/index.js';
import { type Disk, readCheckedFile, replaceCheckedFile } from '../disk/index.js';

const PLAN_FORMAT = 1;

/** How a node becomes the only member of a new cluster: decided once, carried out however often it is interrupted. */
export interface NewClusterPlan {
  readonly format: typeof PLAN_FORMAT;
  /** The new cluster, 32 hexadecimal digits. */
  readonly clusterId: string;
  readonly groups: readonly { readonly group: GroupId; readonly incarnation: string }[];
}

/** Undefined where nothing of the kind is under way. */
export async function readPlan(disk: Disk, nodePath: string): Promise<NewClusterPlan | undefined> {
  try {
    return await readCheckedFile<NewClusterPlan>(disk, planPath(nodePath), PLAN_FORMAT);
  } catch (error) {
    if (!(error instanceof FlotillaError) || error.code !== 'DATA_LOSS') throw error;
    throw new FlotillaError(
      'DATA_LOSS',
      `${error.message}: it said how this node becomes the only member of a new cluster; put the file back, ` +
        'recover another survivor, or restore a backup with "flotilla restore"',
      { cause: error },
    );
  }
}

/** Durable when it resolves: from here on the plan must be carried out to its end. */
export async function writePlan(
  disk: Disk,
  nodePath: string,
  plan: Omit<NewClusterPlan, 'format'>,
): Promise<NewClusterPlan> {
  const written: NewClusterPlan = { format: PLAN_FORMAT, ...plan };
  await replaceCheckedFile(disk, planPath(nodePath), written);
  return written;
}

export async function removePlan(disk: Disk, nodePath: string): Promise<void> {
  await disk.remove(planPath(nodePath));
  await disk.syncDirectory(nodePath);
}

/** A node that is half of one cluster and half of another must not start. */
export async function requireNoPlan(disk: Disk, nodePath: string): Promise<void> {
  if ((await readPlan(disk, nodePath)) === undefined) return;
  throw new FlotillaError(
    'INVALID_ARGUMENT',
    `the recovery of ${nodePath} was begun and has not ended: run the same flotilla cluster recover again, and ` +
      'then start the node',
  );
}

function planPath(nodePath: string): string {
  return join(nodePath, 'recovery');
}
