#!/usr/bin/env node
/**
 * What `flotilla` runs: nothing but this file is there before the first build.
 *
 * libuv's pool carries LevelDB's fsyncs and reads, zlib and DNS; four threads
 * are too few for that, and its size must be set before its first use. The
 * loader of ES modules uses the pool before the first line of one runs: hence
 * this file in CommonJS.
 */
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const main = join(__dirname, '../dist/bin/main.js');
if (existsSync(main)) {
  process.env.UV_THREADPOOL_SIZE ??= '8';
  void import(main);
} else {
  process.stderr.write('error: Flotilla is not built yet; run in its folder: npm run setup\n');
  process.exitCode = 1;
}
