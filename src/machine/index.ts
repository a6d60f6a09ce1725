export * from './record-kinds.js';
export * from './state-machine.js';
