export { type DirectoryLock, lockDirectory } from './directory-lock.js';
export { openLevelDatabase } from './level-database.js';
export { nodeDisk } from './node-disk.js';
