export {
  actorsIn,
  type NodeDirectory,
  type NodeDirectoryOptions,
  type NodeIdentity,
  nodePathOf,
  openNodeDirectory,
} from './directory/index.js';
export {
  BallastFile,
  ballastedDisk,
  type DatabaseEntry,
  type DatabaseOptions,
  type Disk,
  type DiskDatabase,
  type DiskFile,
  diskSpaceOf,
  SpaceGuard,
} from './disk/index.js';
export type { NewGroup } from './group/index.js';
export { nodeDisk } from './level/index.js';
export type { HealingObserver } from './segment/index.js';

export { type LevelStorage, openStorage, type StorageOptions } from './storage.js';
