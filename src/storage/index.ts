export type { DatabaseEntry, DatabaseOptions, Disk, DiskDatabase, DiskFile } from './disk.js';
export {
  type HeldLog,
  inspectStoppedNode,
  recoverStoppedNode,
  type StoppedNode,
  type StoppedNodeOptions,
} from './forced-recovery.js';
export type { NewGroup } from './group-files.js';
export { actorsIn, type NodeDirectory, type NodeDirectoryOptions, type NodeIdentity, openNodeDirectory } from './node-directory.js';
export * from './offline/index.js';
export { type LevelStorage, openStorage, type StorageOptions } from './storage.js';
