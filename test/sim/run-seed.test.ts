import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runSeed, SimulationFailure } from '../../src/sim/index.js';

test('one seed is one history', async () => {
  const options = { seed: 4711, steps: 3000 };
  const { traceHash, figures } = await runSeed(options);
  const again = await runSeed(options);
  assert.equal(again.traceHash, traceHash);
  assert.deepEqual(again.figures, figures);
  assert.notEqual((await runSeed({ ...options, seed: 4712 })).traceHash, traceHash);
});

test('two runs beside each other do not touch each other', async () => {
  const alone = await runSeed({ seed: 5, steps: 2000 });
  const [beside] = await Promise.all([runSeed({ seed: 5, steps: 2000 }), runSeed({ seed: 6, steps: 2000 })]);
  assert.equal(beside.traceHash, alone.traceHash);
});

test('a failure names seed, step, property and the command that shows it again', async () => {
  const options = { seed: 7, steps: 2000, bug: { storing: () => [] } };
  const failure = await runSeed(options).then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(failure instanceof SimulationFailure);
  assert.equal(failure.seed, 7);
  assert.ok(failure.step > 0);
  assert.match(failure.message, /^seed 7, step \d+: /);
  assert.match(failure.message, /replay: flotilla sim --seed 7 --steps 2000$/);
  const again = await runSeed(options).catch((error: unknown) => error);
  assert.ok(again instanceof SimulationFailure);
  assert.equal(again.step, failure.step);
  assert.equal(again.message, failure.message);
});
