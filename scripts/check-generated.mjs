/** Generates the protocol's code into a temporary folder and compares it with what is checked in. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const GENERATED = join('src', 'wire', 'gen');

const scratch = mkdtempSync(join(tmpdir(), 'flotilla-generated-'));
try {
  const buf = join(ROOT, 'node_modules', '.bin', 'buf');
  const { status, error, stderr } = spawnSync(buf, ['generate', '--output', scratch], { cwd: ROOT, encoding: 'utf8' });
  if (status !== 0) throw new Error(`buf generate failed: ${error?.message ?? stderr}`);
  const differing = differences(join(scratch, GENERATED), join(ROOT, GENERATED));
  for (const path of differing) console.log(`${GENERATED}/${path} is not what proto/ says`);
  if (differing.length > 0) process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function differences(wanted, present) {
  const paths = new Set([...files(wanted), ...files(present)]);
  return [...paths].sort().filter((path) => read(join(wanted, path)) !== read(join(present, path)));
}

function read(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function files(folder, below = '') {
  if (!existsSync(join(folder, below))) return [];
  return readdirSync(join(folder, below), { withFileTypes: true }).flatMap((entry) => {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    return entry.isDirectory() ? files(folder, path) : [path];
  });
}
