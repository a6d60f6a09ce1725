import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));

test('npx finds the command although its cache links to where an older version had it', async (context) => {
  const cache = mkdtempSync(join(tmpdir(), 'flotilla-npx-'));
  context.after(() => rmSync(cache, { recursive: true, force: true }));
  const npx = async (): Promise<string> => {
    const env = { ...process.env, npm_config_cache: cache };
    return (await promisify(execFile)('npx', ['flotilla', '--version'], { cwd: ROOT, env })).stdout;
  };
  assert.match(await npx(), /^\d+\.\d+\.\d+\n$/);
  const [installed = ''] = readdirSync(join(cache, '_npx'));
  const link = join(cache, '_npx', installed, 'node_modules', '.bin', 'flotilla');
  rmSync(link);
  symlinkSync('../flotilla/dist/where-it-was.js', link);
  assert.match(await npx(), /^\d+\.\d+\.\d+\n$/);
});
