export { BallastFile } from './ballast-file.js';
export { ballastedDisk } from './ballasted-disk.js';
export { readCheckedFile, readCheckedFileAndRest, replaceCheckedFile } from './checked-file.js';
export type { DatabaseEntry, DatabaseOptions, Disk, DiskDatabase, DiskFile } from './disk.js';
export { diskSpaceOf, isDiskFull } from './disk-space.js';
export { isRemoved, removeDirectories, removeDirectory, removedPath, replaceFile } from './durable-files.js';
export { SpaceGuard } from './space-guard.js';
export { systemCodeOf } from './system-code.js';
export { readSlots, TwoSlotFile } from './two-slot-file.js';
