export * from './admission.js';
export * from './commands.js';
export * from './log-time.js';
export * from './producers.js';
export * from './stream-commands.js';
export * from './stream-kind.js';
export * from './stream-machine.js';
