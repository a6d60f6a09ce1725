export { BackupFolder, type BackupManifest, holdBackupFolder, type RecordsFile, tailOf } from './backup-folder.js';
export { type RestoredNode, restoreNode } from './backup-restore.js';
export { BackupWriter } from './backup-writer.js';
export type { DatabaseEntry, DatabaseOptions, Disk, DiskDatabase, DiskFile } from './disk.js';
export { diskSpaceOf } from './disk-space.js';
export {
  type HeldLog,
  inspectStoppedNode,
  recoverStoppedNode,
  type StoppedNode,
  type StoppedNodeOptions,
} from './forced-recovery.js';
export type { NewGroup } from './group-files.js';
export type { HealingObserver } from './healing.js';
export {
  actorsIn,
  type NodeDirectory,
  type NodeDirectoryOptions,
  type NodeIdentity,
  nodePathOf,
  openNodeDirectory,
} from './node-directory.js';
export * from './offline/index.js';
export { ReserveFile } from './reserve-file.js';
export { reservedDisk } from './reserved-disk.js';
export type { RestorePoint } from './restore-point.js';
export { SpaceGuard } from './space-guard.js';
export { type LevelStorage, openStorage, type StorageOptions } from './storage.js';
