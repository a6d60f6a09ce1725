import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const FIXTURE = fileURLToPath(new URL('../support/young-generation-fixture.ts', import.meta.url));

async function largestMiB(mode: 'bounded' | 'unbounded', ...nodeOptions: readonly string[]): Promise<number> {
  const { stdout } = await promisify(execFile)(process.execPath, [...nodeOptions, '--import', 'tsx', FIXTURE, mode]);
  return Number(stdout) / 2 ** 20;
}

it("holds V8's young generation at two halves of 4 MiB, where it would become larger", async () => {
  const [bounded, unbounded] = await Promise.all([largestMiB('bounded'), largestMiB('unbounded')]);
  assert.equal(bounded <= 9, true, `${bounded} MiB`);
  assert.equal(unbounded > 9, true, `${unbounded} MiB: the test makes too little to copy`);
});

it('leaves the size that the process was started with', async () => {
  const chosen = await largestMiB('bounded', '--max-semi-space-size=8');
  assert.equal(chosen > 9 && chosen <= 17, true, `${chosen} MiB`);
});
