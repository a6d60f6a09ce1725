import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CommandProcess } from '../support/command-process.js';

const WOKEN_CALLER = fileURLToPath(new URL('woken-caller.ts', import.meta.url));

/** Where it fails, the process spins and grows by hundreds of megabytes a second: it is not given long. */
const TIMEOUT_MS = 10_000;

test('a call that is given up while the end of another one is read ends, and the process goes on', async () => {
  const caller = new CommandProcess(process.execPath, ['--import', import.meta.resolve('tsx'), WOKEN_CALLER]);
  await caller.says(/^connected$/m);
  const { code, stdout, stderr } = await caller.result(TIMEOUT_MS);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'connected\nended\n', stderr: '' });
});
