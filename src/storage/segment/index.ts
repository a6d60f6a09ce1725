export { type CheckpointPlace, checkpointPath, readCheckpoint, writeCheckpoint } from './checkpoint-file.js';
export { type Healing, type HealingObserver, UNOBSERVED } from './healing.js';
export { OpenDatabaseCache } from './open-database-cache.js';
export { nothingBehind, type PreparedSegment, prepareSegment, Segment, SegmentDamage } from './segment.js';
export { type ContentsSummary, SegmentContents } from './segment-contents.js';
export type { DatabaseSettings } from './segment-database.js';
export {
  databasePath,
  footerPath,
  headerPath,
  originOf,
  readFooter,
  readHeader,
  removeFooter,
  type SegmentHeader,
  segmentName,
  segmentSequenceOf,
  writeHeader,
} from './segment-files.js';
