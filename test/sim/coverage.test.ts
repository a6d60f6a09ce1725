import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { addFigures, type Figures, noFigures, type Outcome, STEPS_DEFAULT } from '../../src/sim/index.js';

const SEEDS = 300;
const PROCESSES = 2;
const COMMAND = fileURLToPath(new URL('../../cli/flotilla.cjs', import.meta.url));

/** In at least this share of the seeds something of the kind has to happen, or the run has shown nothing. */
const SHARES: Partial<Record<keyof Figures, number>> = {
  truncations: 0.3,
  memberChanges: 0.4,
  lostWrites: 0.2,
  failStops: 0.3,
  damagesRefused: 0.1,
  replacements: 0.2,
  transfers: 0.3,
  unknownOutcomes: 0.3,
  producersOpened: 0.9,
  knownAgain: 0.5,
  sequenceRefusals: 0.9,
  recordsRead: 0.9,
  retentions: 0.6,
  cuts: 0.6,
  snapshots: 0.25,
  quiesced: 0.3,
  slowSyncs: 0.5,
  globEvents: 0.9,
  indexAnswers: 0.5,
  clocksSet: 0.5,
  outsidersRefused: 0.9,
  agedOut: 0.05,
};
const ELECTIONS_LEAST = 3;

/** Runs the built command, as a user does. Rejects with what a violation printed. */
async function simulate(first: number, last: number): Promise<Outcome[]> {
  const args = [COMMAND, 'sim', '--seeds', `${first}..${last}`, '--steps', String(STEPS_DEFAULT), '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const closed = new Promise<number | null>((resolve) => child.on('close', resolve));
  const outcomes: Outcome[] = [];
  const failures: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const result: Outcome & { message?: string } = JSON.parse(line);
    if (result.message === undefined) outcomes.push(result);
    else failures.push(result.message);
  }
  const code = await closed;
  assert.deepEqual(failures, []);
  assert.equal(code, 0);
  return outcomes;
}

test(`${SEEDS} seeds of ${STEPS_DEFAULT} steps keep every promise, and meet enough to show it`, async (context) => {
  const beginMs = performance.now();
  const share = SEEDS / PROCESSES;
  const ranges = Array.from({ length: PROCESSES }, (_, process) =>
    simulate(process * share + 1, (process + 1) * share),
  );
  const outcomes = (await Promise.all(ranges)).flat();
  const total = noFigures();
  for (const { figures } of outcomes) addFigures(total, figures);
  const steps = outcomes.reduce((sum, outcome) => sum + outcome.steps, 0);
  context.diagnostic(
    `${steps} steps in ${Math.round((performance.now() - beginMs) / 1000)} s: ${JSON.stringify(total)}`,
  );
  assert.equal(outcomes.length, SEEDS);
  assert.ok(steps >= SEEDS * STEPS_DEFAULT);
  const fewest = Math.min(...outcomes.map(({ figures }) => figures.elections));
  assert.ok(fewest >= ELECTIONS_LEAST, `vacuous: a seed with ${fewest} elections`);
  for (const [name, least] of Object.entries(SHARES)) {
    const met = outcomes.filter(({ figures }) =>
      Object.entries(figures).some(([figure, count]) => figure === name && count > 0),
    ).length;
    context.diagnostic(`${name} in ${Math.round((100 * met) / SEEDS)} % of the seeds`);
    assert.ok(met >= least * SEEDS, `vacuous: ${name} in ${met} of ${SEEDS} seeds`);
  }
});
