/**
 * `npm run sim:long -- --minutes 30`: simulates seed after seed on all cores for
 * so long, and tells what was met. Begins at a seed that depends on the time of
 * day, so that each run sees new ones, or at `--from`. Ends with 1 where a
 * property did not hold; what it prints then shows how to see it again.
 */

import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setup } from './setup.mjs';

const COMMAND = fileURLToPath(new URL('../cli/flotilla.cjs', import.meta.url));
/** Seeds that one process runs. */
const SHARE = 10;
const TOLD_EVERY_MS = 60_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    from: { type: 'string', default: String((Math.floor(Date.now() / 1000) % 2_000_000) * 1000) },
    steps: { type: 'string', default: '20000' },
  },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) {
  process.stderr.write('sim:long: --minutes takes a number above 0\n');
  process.exit(2);
}
await setup();

const beginMs = performance.now();
const endMs = beginMs + minutes * 60_000;
const total = { seeds: 0, steps: 0, violations: 0, figures: new Map() };
let next = Number(values.from);
let toldMs = beginMs;
process.stdout.write(
  `seeds from ${next} on, ${values.steps} steps each, for ${minutes} minutes on ${availableParallelism()} cores\n`,
);
await Promise.all(Array.from({ length: availableParallelism() }, worker));
process.stdout.write(`${told()}\n`);
for (const [name, count] of total.figures) process.stdout.write(`  ${name.padEnd(20)} ${count}\n`);
process.exitCode = total.violations > 0 ? 1 : 0;

async function worker() {
  while (performance.now() < endMs) {
    const first = next;
    next += SHARE;
    await simulate(first, first + SHARE - 1);
  }
}

async function simulate(first, last) {
  const args = [COMMAND, 'sim', '--seeds', `${first}..${last}`, '--steps', values.steps, '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = new Promise((resolve) => child.on('close', resolve));
  for await (const line of createInterface({ input: child.stdout })) count(JSON.parse(line));
  const code = await closed;
  if (code === 0 || code === 1) return;
  total.violations++;
  process.stdout.write(`the process for seeds ${first} to ${last} ended with ${code}\n`);
}

function count({ steps, step, figures, message }) {
  total.seeds++;
  total.steps += steps ?? step;
  for (const [name, met] of Object.entries(figures ?? {}))
    total.figures.set(name, (total.figures.get(name) ?? 0) + met);
  if (message !== undefined) {
    total.violations++;
    process.stdout.write(`${message}\n\n`);
  }
  if (performance.now() - toldMs < TOLD_EVERY_MS) return;
  toldMs = performance.now();
  process.stderr.write(`${told()}\n`);
}

function told() {
  const seconds = (performance.now() - beginMs) / 1000;
  const violations = total.violations === 1 ? '1 violation' : `${total.violations} violations`;
  return `${total.seeds} seeds, ${total.steps} steps, ${Math.round(total.steps / seconds)} a second: ${violations}`;
}
