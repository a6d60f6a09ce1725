import { join } from 'node:path';
import { FlotillaError, type GroupId } from '../../base/index.js';
import { type Disk, readCheckedFile, replaceCheckedFile } from '../disk/index.js';

const PLAN_FORMAT = 1;

/** What a forced recovery makes of a node: decided once, and carried out however often it is interrupted. */
export interface RecoveryPlan {
  readonly format: typeof PLAN_FORMAT;
  /** The new cluster, 32 hexadecimal digits. */
  readonly clusterId: string;
  readonly groups: readonly { readonly group: GroupId; readonly incarnation: string }[];
}

/** Undefined where no recovery is under way. */
export async function readPlan(disk: Disk, nodePath: string): Promise<RecoveryPlan | undefined> {
  try {
    return await readCheckedFile<RecoveryPlan>(disk, planPath(nodePath), PLAN_FORMAT);
  } catch (error) {
    if (!(error instanceof FlotillaError) || error.code !== 'DATA_LOSS') throw error;
    throw new FlotillaError(
      'DATA_LOSS',
      `${error.message}: what a forced recovery was to make of this node is lost; put the file back, recover ` +
        'another survivor, or restore a backup with "flotilla restore"',
      { cause: error },
    );
  }
}

/** Durable when it resolves: from here on the recovery must be carried out to its end. */
export async function writePlan(
  disk: Disk,
  nodePath: string,
  plan: Omit<RecoveryPlan, 'format'>,
): Promise<RecoveryPlan> {
  const written: RecoveryPlan = { format: PLAN_FORMAT, ...plan };
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
