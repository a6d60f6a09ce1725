/** No test is lost between `npm test` and `npm run test:long`. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BUSY, LONG, PATIENT, SLOW } from '../sets.mjs';
import { houseFiles } from './tidy-rules.js';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));

/** What the runner would run. */
function listed(set: string): string[] {
  const output = execFileSync(process.execPath, ['test/run.mjs', '--list', set], { cwd: ROOT, encoding: 'utf8' });
  return output.split('\n').filter((line) => line !== '');
}

test('every test file is in one of the two sets that are run before a change is taken in, and in one only', () => {
  const [fast, long] = [listed('fast'), listed('long')];
  const all = houseFiles(ROOT).filter((path) => path.startsWith('test/') && /\.test\.[cm]?[jt]sx?$/.test(path));
  assert.deepEqual([...fast, ...long].sort(), all.sort());
  assert.deepEqual(listed('all').sort(), all.sort());
  assert.ok(long.length > 10 && fast.length > 5 * long.length);
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  assert.equal(scripts.test, 'node scripts/setup.mjs && node test/run.mjs fast');
  assert.equal(scripts['test:long'], 'node scripts/setup.mjs && node test/run.mjs long');
  assert.match(readFileSync(join(ROOT, '.ci/run'), 'utf8'), /^npm test\nnpm run test:long\n$/m);
});

test('the unit tests are among the fast ones', () => {
  const fast = new Set(listed('fast'));
  assert.deepEqual(
    listed('unit').filter((file) => !fast.has(file)),
    [],
  );
});

test('the lists of sets.mjs name files and folders that are there', () => {
  const named = [...LONG, ...SLOW, ...PATIENT, BUSY];
  assert.deepEqual(
    named.filter((path) => !existsSync(join(ROOT, path))),
    [],
  );
});
