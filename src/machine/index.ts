export * from './commands.js';
export * from './kinds.js';
export * from './log-time.js';
export * from './producers.js';
export * from './stream-machine.js';
