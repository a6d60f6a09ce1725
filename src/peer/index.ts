export { Formation, type FormationStore, type Founded } from './formation.js';
export { PeerLinks, type PeerLinksOptions } from './links.js';
