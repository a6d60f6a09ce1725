export { recoverLog, requireNotAhead } from './log-recovery.js';
export { decodeMarker, type Marker, MarkerFile } from './marker-file.js';
export { Scrubber } from './scrubber.js';
export { recoverRebuild } from './segment-rebuild.js';
export { beginOf, recoverSwap, stagedPath } from './segment-swap.js';
export { SegmentedLog } from './segmented-log.js';
