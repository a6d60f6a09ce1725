import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Transcript } from './transcript.js';

const FOLDER = new URL('testdata/', import.meta.url);
/** `UPDATE_TRANSCRIPTS=1` rewrites what the commands led to; the difference is to be read before it is kept. */
const UPDATE = process.env['UPDATE_TRANSCRIPTS'] === '1';

for (const name of readdirSync(FOLDER).sort()) {
  test(`transcript: ${name.replace('.txt', '').replaceAll('-', ' ')}`, () => {
    const path = new URL(name, FOLDER);
    const expected = readFileSync(path, 'utf8');
    const actual = new Transcript().run(expected);
    if (UPDATE) writeFileSync(path, actual);
    else assert.equal(actual, expected);
  });
}
