export * from './commands.js';
export * from './producers.js';
export * from './stream-machine.js';
