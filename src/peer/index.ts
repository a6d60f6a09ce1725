export type { DiscoveryClient } from './discovery-client.js';
export { Formation, type FormationOptions, type FormationStore } from './formation.js';
export type { Founded, Predecessor } from './founding.js';
export { CallerHandshake } from './handshake.js';
export { type BootMemory, InboundStreams } from './inbound-streams.js';
export { PeerLinks, type PeerLinksOptions } from './links.js';
export { PeerDiscovery } from './peer-discovery.js';
export { PeerRecords } from './peer-records.js';
