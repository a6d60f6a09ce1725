import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { asciiBytes, type Counter, counter, FlotillaError, logIndex, term } from '../../../src/base/index.js';
import type { CommittedRecord } from '../../../src/machine/index.js';
import {
  checkSettingsChanges,
  decodeLogBegin,
  decodeSettings,
  encodeLogBegin,
  encodeSettings,
  type SettingsChanges,
  StreamMachine,
} from '../../../src/machine/stream/index.js';

type Step = Pick<CommittedRecord, 'kind' | 'eventCount' | 'payload'>;

const NOTHING = new Uint8Array(0);
const events = (eventCount: number): Step => ({ kind: 'events', eventCount, payload: NOTHING });
const settings = (changes: SettingsChanges, onlyFirst = false): Step => ({
  kind: 'settings',
  eventCount: 0,
  payload: encodeSettings({ changes, onlyFirst }),
});
const logBegin = (first: number, index: number): Step => ({
  kind: 'log-begin',
  eventCount: 0,
  payload: encodeLogBegin({ firstCounter: counter(first), index: logIndex(index) }),
});

/** The next record of a log, as its machine wants it. */
function next(machine: StreamMachine, step: Step, timeMs = machine.timeMs): CommittedRecord {
  return {
    ...step,
    term: term(1),
    index: logIndex(machine.appliedIndex + 1),
    firstCounter: machine.nextCounter,
    timeMs,
  };
}

function machineAfter(...steps: readonly Step[]): StreamMachine {
  const machine = StreamMachine.initial();
  for (const step of steps) machine.apply(next(machine, step));
  return machine;
}

test('apply counts events, and keeps the log time of the last record', () => {
  const machine = machineAfter(events(3), { kind: 'no-op', eventCount: 0, payload: NOTHING });
  machine.apply(next(machine, events(2), 1234));
  assert.deepEqual([machine.appliedIndex, machine.nextCounter, machine.timeMs], [3, 6, 1234]);
  assert.equal(machine.settings, undefined);
  assert.deepEqual(machine.begin, { firstCounter: 1, index: 0 });
});

test('applying a record that is not the next breaks an invariant', () => {
  const machine = machineAfter(events(1));
  assert.throws(
    () => machine.apply({ ...next(machine, events(1)), index: logIndex(3) }),
    /record 3 was to be applied after record 1/,
  );
});

test('settings change what they name, so that of two at once none is lost, in either order', () => {
  const [one, other] = [settings({ maxEvents: 5 }), settings({ maxBytes: 7, maxAgeMs: 0 })];
  const before = settings({ maxEvents: 1, maxAgeMs: 1000 });
  for (const steps of [
    [before, one, other],
    [before, other, one],
  ])
    assert.deepEqual(machineAfter(...steps).settings, { maxEvents: 5, maxBytes: 7 });
  assert.deepEqual(machineAfter(settings({ maxEvents: 5 }), settings({ maxEvents: 6 })).settings, { maxEvents: 6 });
  assert.deepEqual(machineAfter(settings({})).settings, {}, 'set to no bounds is not the same as never set');
});

test('settings for a new stream have no effect once there are others', () => {
  const first = settings({ maxEvents: 5 }, true);
  assert.deepEqual(machineAfter(first, settings({ maxBytes: 7 }), first).settings, { maxEvents: 5, maxBytes: 7 });
  assert.deepEqual(machineAfter(settings({ maxEvents: 9 }), first).settings, { maxEvents: 9 });
});

test("the log's begin moves forward, and never back", () => {
  const machine = machineAfter(events(10), events(10), logBegin(11, 1));
  assert.deepEqual(machine.begin, { firstCounter: 11, index: 1 });
  machine.apply(next(machine, logBegin(5, 0)));
  assert.deepEqual(machine.begin, { firstCounter: 11, index: 1 });
  machine.apply(next(machine, logBegin(21, 4)));
  assert.deepEqual(machine.begin, { firstCounter: 21, index: 4 }, 'everything may go');
});

test('a begin beyond what there is has no effect', () => {
  const machine = machineAfter(events(10), logBegin(12, 1), logBegin(5, 7));
  assert.deepEqual(machine.begin, { firstCounter: 1, index: 0 });
});

test('an encoded state goes on where it was taken, whatever the records', () => {
  const bound = fc.option(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), { nil: undefined });
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.integer({ min: 1, max: 5 }).map(events),
    fc
      .tuple(fc.record({ maxEvents: bound, maxBytes: bound, maxAgeMs: bound }), fc.boolean())
      .map(([given, onlyFirst]) => settings(JSON.parse(JSON.stringify(given)), onlyFirst)),
    fc.tuple(fc.nat(30), fc.nat(15)).map(([first, index]) => logBegin(first, index)),
  );
  fc.assert(
    fc.property(fc.array(step), fc.nat(20), (steps, taken) => {
      const whole = machineAfter(...steps);
      const half = machineAfter(...steps.slice(0, taken));
      const resumed = StreamMachine.decode(half.encode());
      for (const each of steps.slice(taken)) resumed.apply(next(resumed, each));
      assert.deepEqual(resumed.encode(), whole.encode());
    }),
  );
});

test('decode refuses what a newer version wrote', () => {
  const isUpgradeNeeded = (error: unknown): boolean =>
    error instanceof FlotillaError && error.code === 'UPGRADE_NEEDED';
  assert.throws(() => StreamMachine.decode(asciiBytes('{"format":2}')), isUpgradeNeeded);
  assert.throws(() => decodeSettings(asciiBytes('{"format":2,"maxEvents":1}')), isUpgradeNeeded);
  assert.throws(() => decodeSettings(asciiBytes('{"format":1,"maxSpeed":1}')), isUpgradeNeeded);
  assert.throws(() => decodeSettings(asciiBytes('{"format":1,"maxEvents":"many"}')), isUpgradeNeeded);
  assert.throws(() => decodeLogBegin(asciiBytes('{"format":1,"firstCounter":1}')), isUpgradeNeeded);
  assert.throws(() => decodeLogBegin(asciiBytes('[]')), isUpgradeNeeded);
});

test('checkSettingsChanges names the field that is wrong', () => {
  checkSettingsChanges({ maxEvents: 0, maxBytes: Number.MAX_SAFE_INTEGER });
  for (const wrong of [-1, 1.5, Number.NaN, 2 ** 53]) {
    assert.throws(() => checkSettingsChanges({ maxBytes: wrong }, (name) => `settings.${name}`), {
      code: 'INVALID_ARGUMENT',
      message: new RegExp(`^settings\\.maxBytes: ${wrong} is no whole`),
    });
  }
});

test('payloads are decoded to what was encoded', () => {
  const given: { readonly firstCounter: Counter; readonly index: ReturnType<typeof logIndex> } = {
    firstCounter: counter(12),
    index: logIndex(3),
  };
  assert.equal(Buffer.from(encodeLogBegin(given)).toString(), '{"format":1,"firstCounter":12,"index":3}');
  assert.deepEqual(decodeLogBegin(encodeLogBegin(given)), given);
  const changes = { maxAgeMs: 1, maxEvents: 0 };
  const encoded = (onlyFirst: boolean): string => Buffer.from(encodeSettings({ changes, onlyFirst })).toString();
  assert.equal(encoded(false), '{"format":1,"maxEvents":0,"maxAgeMs":1}');
  assert.equal(encoded(true), '{"format":1,"maxEvents":0,"maxAgeMs":1,"onlyFirst":1}');
});
