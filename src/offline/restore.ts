import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { actorId } from '../base/index.js';
import { systemClock } from '../group/index.js';
import { DEFAULT_GROUP, incarnationOf } from '../stream/index.js';
import { type BackupSummary, summaryOf } from './backup.js';
import { BackupFolder } from './backup-folder.js';
import { restoreNode } from './restore-node.js';
import type { RestorePoint } from './restore-point.js';

export interface RestoreFromOptions {
  readonly backupDirectory: string;
  readonly dataDir: string;
  readonly actor: number;
  readonly point?: RestorePoint | undefined;
  /** Called with the counter of the last event that is written. */
  readonly onProgress?: (lastCounter: number) => void;
}

/** What was made of a backup. */
export interface Restored {
  readonly backup: BackupSummary;
  readonly directory: string;
  readonly clusterId: string;
  readonly incarnation: string;
  readonly firstCounter: number;
  readonly lastCounter: number;
}

/** Makes of a backup a node directory: the only member of a new cluster. */
export async function restoreFrom(options: RestoreFromOptions): Promise<Restored> {
  const { backupDirectory, dataDir, actor, point, onProgress } = options;
  const backup = await BackupFolder.open(resolve(backupDirectory));
  const { stream } = backup.requireManifest();
  const clusterId = randomBytes(16).toString('hex');
  const incarnation = incarnationOf(clusterId, stream);
  const { path, begin, tail } = await restoreNode({
    backup,
    dataDir: resolve(dataDir),
    actor: actorId(actor),
    clusterId,
    incarnation,
    group: DEFAULT_GROUP,
    clock: systemClock,
    point,
    onProgress: ({ nextCounter }) => onProgress?.(nextCounter - 1),
  });
  return {
    backup: summaryOf(backup.path, backup.requireManifest()),
    directory: path,
    clusterId,
    incarnation,
    firstCounter: begin.nextCounter,
    lastCounter: tail.nextCounter - 1,
  };
}
