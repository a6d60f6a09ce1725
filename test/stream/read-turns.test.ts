import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inTurns, ReadTurns } from '../../src/stream/index.js';

/** The event loop as far as turns concern it: time passes while a reader works, and callbacks run turn by turn. */
class Loop {
  now = 0;
  turn = 0;
  private planned: (() => void)[] = [];
  readonly turns = new ReadTurns({ nowMs: () => this.now, soon: (run) => this.planned.push(run) });

  /** One turn: what was planned before it, each with all that follows from it. */
  async run(): Promise<void> {
    this.turn++;
    for (const run of this.planned.splice(0)) {
      run();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async runUntil(isOver: () => boolean): Promise<void> {
    for (let count = 0; !isOver(); count++) {
      assert.ok(count < 10_000, 'it ends');
      await this.run();
    }
  }
}

/** Works for `ms`, a quarter of a millisecond at a time. */
function* work(loop: Loop, ms: number, onStep: () => void): Generator<void, string, void> {
  for (let done = 0; done < ms; done += 0.25) {
    loop.now += 0.25;
    onStep();
    yield;
  }
  return 'done';
}

test('one reader alone works without a pause, but for what is left of a turn to others than readers', async () => {
  const loop = new Loop();
  const perTurn = new Map<number, number>();
  const onStep = (): void => void perTurn.set(loop.turn, (perTurn.get(loop.turn) ?? 0) + 0.25);
  assert.equal(inTurns(loop.turns, work(loop, 5, onStep)), 'done', 'a short one does not even wait');
  const long = Promise.resolve(inTurns(loop.turns, work(loop, 100, onStep)));
  let over = false;
  void long.then(() => {
    over = true;
  });
  await loop.runUntil(() => over);
  assert.equal(await long, 'done');
  assert.ok(Math.max(...perTurn.values()) <= 10.25, `${[...perTurn.values()]}`);
  assert.ok(loop.turn <= 12, `${loop.turn} turns for 105 ms`);
});

test('many readers share a turn, none gets more than a slice of it, and all come to their turn in order', async () => {
  const loop = new Loop();
  const perTurn = new Map<number, number>();
  const done: number[] = [];
  const slices: number[] = [];
  for (let reader = 0; reader < 50; reader++) {
    const onStep = (): void => {
      perTurn.set(loop.turn, (perTurn.get(loop.turn) ?? 0) + 0.25);
      if (slices.at(-1) !== reader) slices.push(reader);
    };
    const start = async (): Promise<void> => {
      if (loop.turns.isDue) await loop.turns.next();
      await inTurns(loop.turns, work(loop, 8, onStep));
      done.push(reader);
    };
    void start();
  }
  await loop.runUntil(() => done.length === 50);
  assert.ok(Math.max(...perTurn.values()) <= 10.25, `a turn had ${Math.max(...perTurn.values())} ms of readers' work`);
  assert.deepEqual(
    slices.slice(1, 50),
    Array.from({ length: 49 }, (_, at) => at + 1),
    'nobody comes twice before everybody came once',
  );
  assert.ok(loop.turn <= 60, `${loop.turn} turns for 400 ms`);
});

test('a reader that comes while others wait goes behind them', async () => {
  const loop = new Loop();
  const order: string[] = [];
  assert.equal(loop.turns.isDue, false);
  loop.now += 20;
  assert.equal(loop.turns.isDue, true);
  void loop.turns.next().then(() => {
    order.push('first');
    loop.now += 20;
  });
  void loop.turns.next().then(() => order.push('second'));
  await loop.run();
  assert.deepEqual(order, ['first']);
  assert.equal(loop.turns.isDue, true);
  void loop.turns.next().then(() => order.push('third'));
  await loop.run();
  assert.deepEqual(order, ['first', 'second', 'third']);
});
