export * from './assert.js';
export * from './bounded-queue.js';
export * from './brand.js';
export * from './bytes.js';
export * from './errors.js';
export * from './limits.js';
export * from './quantities.js';
export * from './random.js';
