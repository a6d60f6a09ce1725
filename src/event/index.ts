export * from './batch-header.js';
export * from './event.js';
export * from './event-id.js';
export * from './excerpt.js';
export * from './glob.js';
export * from './namespace.js';
export * from './producer-name.js';
export * from './stream-name.js';
