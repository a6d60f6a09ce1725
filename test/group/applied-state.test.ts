/** Checkpoints of a state that takes several turns to encode, while records go on taking effect. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { counter, groupId, type LogIndex, logIndex, term } from '../../src/base/index.js';
import { AppliedState } from '../../src/group/applied-state.js';
import { Inbox } from '../../src/group/inbox.js';
import type { CommittedRecord, StateMachine } from '../../src/machine/index.js';
import type { LogRecord } from '../../src/wire/index.js';
import { ManualClock } from '../support/manual-clock.js';

const STEPS = 3;

/** A state that is its index, and takes {@link STEPS} steps to encode. */
class LargeState implements StateMachine {
  appliedIndex: LogIndex;

  constructor(index: number) {
    this.appliedIndex = logIndex(index);
  }

  get expendableIndex(): LogIndex {
    return logIndex(0);
  }

  apply({ index }: CommittedRecord): void {
    this.appliedIndex = index;
  }

  encode(): Uint8Array {
    return Uint8Array.of(this.appliedIndex);
  }

  *encodeInSteps(): Generator<void, Uint8Array> {
    const bytes = this.encode();
    for (let step = 1; step < STEPS; step++) yield;
    return bytes;
  }
}

/** A group whose log is in memory, and whose segments begin behind `boundaries`. */
class Applying {
  readonly clock = new ManualClock();
  readonly inbox = new Inbox();
  /** The checkpoints that were handed to the storage: where they stand, and as of where they are. */
  readonly stored: { readonly index: LogIndex; readonly state: number | undefined }[] = [];
  readonly state: AppliedState<LargeState>;

  constructor(...boundaries: number[]) {
    this.inbox.open({ turn: () => undefined, failed: (error) => assert.fail(String(error)) });
    this.state = new AppliedState<LargeState>({
      group: groupId(1),
      inbox: this.inbox,
      clock: this.clock,
      log: { hot: (from, to) => recordsFrom(from, to), read: () => [] },
      stored: {
        recovered: { state: Uint8Array.of(0) },
        checkpointDue: (from) => boundaries.map(logIndex).find((index) => index >= from),
      },
      storage: {
        persist: ([request]) => {
          const { checkpoint } = request ?? {};
          if (checkpoint !== undefined) this.stored.push({ index: checkpoint.index, state: checkpoint.state[0] });
          return Promise.resolve();
        },
      },
      kind: { decode: ([index = 0]) => new LargeState(index) },
    });
  }

  /** Each record is committed in a turn of its own. */
  commit(through: number): void {
    for (let index = this.state.appliedIndex + 1; index <= through; index++)
      this.inbox.post(() => this.state.advance(logIndex(index)));
  }

  /** Everything that was to run soon, to the end. */
  settle(): void {
    while (this.clock.runSoon());
  }
}

function recordsFrom(from: LogIndex, to: LogIndex): LogRecord[] {
  return Array.from({ length: to - from + 1 }, (_, at) => {
    const place = { index: logIndex(from + at), term: term(1), firstCounter: counter(1), eventCount: 0, timeMs: 0 };
    const bytes = new Uint8Array(0);
    return { kind: 'no-op', previousChecksum: 0, checksum: 0, ...place, payload: bytes, bytes };
  });
}

test('a checkpoint is of the place where it was due, though records take effect while it is encoded', () => {
  const applying = new Applying(2);
  applying.commit(3);
  assert.deepEqual(applying.stored, [], 'there is more to do than one step');
  applying.clock.runSoon();
  applying.commit(5);
  assert.equal(applying.state.appliedIndex, 5);
  applying.settle();
  assert.deepEqual(applying.stored, [{ index: 2, state: 2 }]);
});

test('checkpoints are stored in the order of the log, though the next one is due before one is encoded', () => {
  const applying = new Applying(2, 4);
  applying.commit(6);
  assert.deepEqual(applying.stored, [{ index: 2, state: 2 }]);
  applying.settle();
  assert.deepEqual(applying.stored, [
    { index: 2, state: 2 },
    { index: 4, state: 4 },
  ]);
});

test('a checkpoint that is being encoded when a snapshot comes, or the group stops, is not stored', () => {
  const [replaced, stopped] = [new Applying(2), new Applying(2)];
  replaced.commit(3);
  replaced.state.replaceWith(new LargeState(9));
  stopped.commit(3);
  stopped.state.stop();
  for (const applying of [replaced, stopped]) {
    applying.settle();
    assert.deepEqual(applying.stored, []);
  }
});
