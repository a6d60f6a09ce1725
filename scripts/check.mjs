/**
 * `npm run check`: everything that can be said about the code without running
 * it. Writes nothing in the checkout; `npm run fix` repairs what a tool can
 * repair. All checks run, so that one failure does not hide the next.
 */
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const tool = (name) => join(ROOT, 'node_modules', '.bin', name);

const CHECKS = [
  { name: 'types', command: [tool('tsc'), '-p', 'tsconfig.json', '--noEmit'] },
  { name: 'format and lint', command: [tool('biome'), 'check', '--error-on-warnings'], remedy: 'npm run fix' },
  { name: 'pure folders compile without Node', command: [tool('tsc'), '-p', 'tsconfig.pure.json', '--noEmit'] },
  {
    name: 'imports keep to the floors',
    command: [tool('depcruise'), '--config', '.dependency-cruiser.cjs', 'src', 'cli', 'test'],
  },
  { name: 'protocol lint', command: [tool('buf'), 'lint'] },
  {
    name: 'generated code is current',
    command: [process.execPath, 'scripts/check-generated.mjs'],
    remedy: 'npm run generate',
  },
  {
    name: 'house rules',
    command: [
      process.execPath,
      'test/run.mjs',
      'test/house/tidy.test.ts',
      'test/house/errors.test.ts',
      'test/house/deployment.test.ts',
    ],
  },
];

const waiting = [...CHECKS];
const failed = [];
const worker = async () => {
  for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
    if (!(await passes(check))) failed.push(check.name);
  }
};
await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, worker));
if (failed.length > 0) {
  console.log(`\ncheck failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}

async function passes({ name, command, remedy }) {
  const started = Date.now();
  const { code, output } = await run(command);
  const seconds = ((Date.now() - started) / 1000).toFixed(1);
  console.log(`${code === 0 ? '✔' : '✖'} ${name} (${seconds} s)`);
  if (code !== 0) console.log(`${output.trimEnd()}${remedy === undefined ? '' : `\n  → ${remedy}`}`);
  return code === 0;
}

function run([program, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    child.once('error', (error) =>
      resolve({ code: 1, output: `${error.message}: is everything installed? npm run setup` }),
    );
    child.once('close', (code) => resolve({ code, output: Buffer.concat(chunks).toString('utf8') }));
  });
}
