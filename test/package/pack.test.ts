/** What `npm pack` makes runs elsewhere, with the packages of `dependencies` and nothing else of this checkout. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as v from 'valibot';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const run = promisify(execFile);
const manifest = v.parse(
  v.object({ version: v.string(), bin: v.object({ flotilla: v.string() }) }),
  JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')),
);

const elsewhere = mkdtempSync(join(tmpdir(), 'flotilla-elsewhere-'));
const installed = join(elsewhere, 'node_modules', 'flotilla');

before(async () => {
  // Builds first, by `prepack`. npm prints what that is called, and the tarball's name last.
  const { stdout } = await run('npm', ['pack', '--pack-destination', elsewhere], { cwd: ROOT });
  const tarball = stdout.trim().split('\n').at(-1) ?? '';
  mkdirSync(installed, { recursive: true });
  await run('tar', ['-xzf', join(elsewhere, tarball), '-C', installed, '--strip-components=1']);
  // As npm would place them, without asking a registry: whatever is not for development only.
  const { packages } = v.parse(
    v.object({ packages: v.record(v.string(), v.object({ dev: v.optional(v.boolean()) })) }),
    JSON.parse(readFileSync(join(ROOT, 'node_modules/.package-lock.json'), 'utf8')),
  );
  for (const [path, { dev }] of Object.entries(packages)) {
    if (dev === true || !/^node_modules\/(@[^/]+\/)?[^/]+$/.test(path)) continue;
    mkdirSync(dirname(join(elsewhere, path)), { recursive: true });
    symlinkSync(join(ROOT, path), join(elsewhere, path));
  }
});
after(() => rmSync(elsewhere, { recursive: true, force: true }));

test('the command of the installed package runs and tells its version', async () => {
  const command = join(installed, manifest.bin.flotilla);
  assert.equal(statSync(command).mode & 0o111, 0o111, 'not executable');
  const { stdout } = await run(command, ['--version'], { cwd: elsewhere });
  assert.equal(stdout, `${manifest.version}\n`);
});

test('the exports of the installed package load', async () => {
  const program = [
    "import { startNode } from 'flotilla'; import { FlotillaClient } from 'flotilla/client';",
    "import { verifyBackup } from 'flotilla/offline';",
    'console.log(typeof startNode, typeof FlotillaClient, typeof verifyBackup);',
  ].join(' ');
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: elsewhere });
  assert.equal(stdout, 'function function function\n');
});

test('the package holds what runs, and nothing else', () => {
  assert.deepEqual(readdirSync(installed).sort(), [
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'cli',
    'dist',
    'package.json',
    'proto',
  ]);
  const files = readdirSync(installed, { recursive: true, encoding: 'utf8' }).filter((path) =>
    statSync(join(installed, path)).isFile(),
  );
  const strange = files.filter((path) => !/\.(c?js|d\.c?ts|proto|binpb|md|json)$|^LICENSE$/.test(path));
  assert.deepEqual(strange, []);
});
