export * from './kinds.js';
export * from './record-kinds.js';
export * from './state-machine.js';
export * from './stream/index.js';
