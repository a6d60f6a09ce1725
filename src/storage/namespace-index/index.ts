export { MatchSearch, SegmentMatch } from './glob-match.js';
export { blocksFor, IndexFile, verifyIndex } from './index-file.js';
export { type Indexable, NamespaceIndexer } from './indexer.js';
export { Pace } from './pace.js';
export { namespacesPath, SegmentNamespaces } from './segment-namespaces.js';
