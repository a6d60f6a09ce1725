#!/usr/bin/env node
/**
 * What `flotilla` runs. libuv's pool carries LevelDB's fsyncs and reads, zlib and
 * DNS; four threads are too few for that, and its size must be set before its
 * first use. The loader of ES modules uses the pool before the first line of
 * one runs: hence this file in CommonJS.
 */
const { UV_THREADPOOL_SIZE: threads = '16' } = process.env;
Object.assign(process.env, { UV_THREADPOOL_SIZE: threads });

void import('./main.js');
