export {
  createGroupFiles,
  hardStatePath,
  isUnfinished,
  markerPath,
  type NewGroup,
  segmentsPath,
} from './group-files.js';
export { findGroups, openGroup } from './group-recovery.js';
export type { GroupStore } from './group-store.js';
export { decodeHardState, olderCopyOf } from './hard-state-file.js';
export { bytesOf, mergeByGroup, type WaitingWrite, WriteQueue } from './write-queue.js';
