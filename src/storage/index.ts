export type { DatabaseEntry, DatabaseOptions, Disk, DiskDatabase, DiskFile } from './disk.js';
export type { NewGroup } from './group-files.js';
export { type NodeDirectory, type NodeDirectoryOptions, type NodeIdentity, openNodeDirectory } from './node-directory.js';
export { type LevelStorage, openStorage, type StorageOptions } from './storage.js';
