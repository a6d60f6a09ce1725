export { Formation, type FormationOptions, type FormationStore } from './formation.js';
export { actorIsTaken, type Founded, type Predecessor } from './founding.js';
export { CallerHandshake } from './handshake.js';
export type { Introducer } from './introducer.js';
export { PeerLinks, type PeerLinksOptions } from './links.js';
export { MemberSearch } from './member-search.js';
export { PeerRecords } from './peer-records.js';
export { type BootMemory, Visitors } from './visitors.js';
