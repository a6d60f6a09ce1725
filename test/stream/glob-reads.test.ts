import assert from 'node:assert/strict';
import { it } from 'node:test';
import { AssertionFailure, type LogIndex, logIndex, present } from '../../src/base/index.js';
import { GlobReads } from '../../src/stream/glob-reads.js';
import type { LogMatches } from '../../src/stream/index.js';

interface Step {
  readonly from: LogIndex;
  readonly through: LogIndex;
  readonly resolve: (found: LogMatches | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** A search whose steps end when the test says so, and a log that has nothing else. */
function searched() {
  const steps: Step[] = [];
  let running = 0;
  const log = { commitIndex: logIndex(100), read: (): never => assert.fail('no records are read') };
  const reads = new GlobReads(log, {
    next: async (from, through) => {
      assert.equal(++running, 1, 'a search takes one step at a time');
      return new Promise<LogMatches | undefined>((resolve, reject) =>
        steps.push({ from, through, resolve, reject }),
      ).finally(() => running--);
    },
  });
  return { reads, steps, log, step: (at: number): Step => present(steps[at], `step ${at}`) };
}

const nothingThrough = (through: number): LogMatches => ({ kind: 'records', records: [], through: logIndex(through) });

/** Lets what is ready to run do so. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function afterTwoSteps() {
  const search = searched();
  const first = search.reads.next(logIndex(1), logIndex(90));
  search.step(0).resolve(nothingThrough(10));
  await first;
  assert.equal(search.steps.length, 1, 'who takes one step may want no other');
  const second = search.reads.next(logIndex(11), logIndex(90));
  search.step(1).resolve(nothingThrough(20));
  await second;
  assert.deepEqual(
    [search.steps.length, search.step(2).from, search.step(2).through],
    [3, 21, 90],
    'the third is taken ahead',
  );
  return search;
}

it('a step that was taken ahead is what the next call returns', async () => {
  const { reads, step, steps } = await afterTwoSteps();
  const third = reads.next(logIndex(21), logIndex(90));
  step(2).resolve(nothingThrough(30));
  assert.equal((await third).through, 30);
  assert.deepEqual([steps.length, step(3).from], [4, 31]);
});

it('a reader that goes on elsewhere, or further, gets what it asks for, when the step ahead has ended', async () => {
  for (const [from, to] of [
    [25, 90],
    [21, 95],
  ] as const) {
    const { reads, step, steps } = await afterTwoSteps();
    const elsewhere = reads.next(logIndex(from), logIndex(to));
    await settled();
    assert.equal(steps.length, 3);
    step(2).resolve(nothingThrough(30));
    await settled();
    assert.deepEqual([step(3).from, step(3).through], [from, to]);
    step(3).resolve(nothingThrough(40));
    assert.equal((await elsewhere).through, 40);
  }
});

it('a failure ahead is met where it is asked for, and by nobody where it is not', async () => {
  const asked = await afterTwoSteps();
  asked.step(2).reject(new Error('of the disk'));
  await settled();
  await assert.rejects(asked.reads.next(logIndex(21), logIndex(90)), /of the disk/);

  const elsewhere = await afterTwoSteps();
  elsewhere.step(2).reject(new Error('of the disk'));
  const found = elsewhere.reads.next(logIndex(50), logIndex(90));
  await settled();
  elsewhere.step(3).resolve(nothingThrough(60));
  assert.equal((await found).through, 60);
});

it('nothing is taken ahead behind the end of what is committed', async () => {
  const { reads, step, steps, log } = searched();
  log.commitIndex = logIndex(20);
  const first = reads.next(logIndex(1), logIndex(90));
  step(0).resolve(nothingThrough(10));
  await first;
  const second = reads.next(logIndex(11), logIndex(90));
  assert.equal(step(1).through, 20);
  step(1).resolve(nothingThrough(20));
  await second;
  assert.equal(steps.length, 2);
});

it('an index that answers for less or more than it was asked breaks an invariant, and is not asked again', async () => {
  for (const through of [10, 91]) {
    const { reads, step, steps } = searched();
    const found = reads.next(logIndex(11), logIndex(90));
    step(0).resolve(nothingThrough(through));
    await assert.rejects(found, AssertionFailure);
    assert.equal(steps.length, 1);
  }
});
