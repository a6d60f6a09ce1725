export * from './commands.js';
export * from './stream-machine.js';
