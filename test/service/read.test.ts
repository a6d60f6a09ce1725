import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { counter, type ErrorCode, FlotillaError, LIMITS, logIndex } from '../../src/base/index.js';
import { compileGlob, type Event } from '../../src/event/index.js';
import { getEvent } from '../../src/service/get.js';
import type { ReadRequest } from '../../src/service/read-plan.js';
import { packBody } from '../../src/wire/index.js';
import { newReading } from '../support/reading.js';
import { StreamCluster } from '../support/stream-cluster.js';
import { eventsIn, type ModelBatch, type ModelEvent, type ReadResult, readWith, streamOf } from './read-fixture.js';

const BEGIN_MS = 1_700_000_000_000;
const code =
  (expected: ErrorCode, message = /./) =>
  (error: unknown) =>
    error instanceof FlotillaError && error.code === expected && message.test(error.message);

const namespaces = fc.array(fc.constantFrom('/a', '/a/b', '/b', '/c/d'), { minLength: 1, maxLength: 6 });
const batches: fc.Arbitrary<ModelBatch[]> = fc.array(
  fc.record({ namespaces, movesMs: fc.integer({ min: -300, max: 400 }), joins: fc.boolean() }),
  { minLength: 1, maxLength: 25 },
);

/** Places are shares of the stream, so that a smaller stream keeps them. */
const share = fc.double({ min: 0, max: 1, noNaN: true });
const maybe = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined });
const asks = fc.record({
  glob: fc.constantFrom('', '/a', '/a/**', '/*', '/none'),
  start: maybe(fc.record({ at: share, included: fc.boolean() })),
  end: maybe(fc.record({ at: share, included: fc.boolean() })),
  since: maybe(share),
  until: maybe(share),
  mode: fc.constantFrom('forward', 'backwards', 'tail'),
  limit: fc.constantFrom(0, 0, 1, 3, 10),
  last: fc.constantFrom(0, 0, 1, 2, 7),
  packed: fc.boolean(),
});
type Ask = typeof asks extends fc.Arbitrary<infer T> ? T : never;

function timeAt(events: readonly ModelEvent[], at: number): number {
  const last = events.at(-1)?.logTimeMs ?? BEGIN_MS;
  const first = events[0]?.logTimeMs ?? BEGIN_MS;
  return Math.round(first - 20 + at * (last - first + 40));
}

/** The request, and what the plain list says to it. */
function translate(ask: Ask, events: readonly ModelEvent[]): { request: Partial<ReadRequest>; expected: number[] } {
  const idAt = (at: number): number => 1 + Math.min(events.length - 1, Math.floor(at * events.length));
  const tail = ask.mode === 'tail';
  const backwards = ask.mode === 'backwards';
  const end = tail ? undefined : ask.end;
  const until = tail || ask.until === undefined ? undefined : timeAt(events, ask.until);
  const since = ask.since === undefined ? undefined : timeAt(events, ask.since);
  const last = backwards ? 0 : ask.last;
  const bounds = {
    ...(ask.start === undefined ? {} : { [ask.start.included ? 'startAt' : 'startAfter']: `${idAt(ask.start.at)}.1` }),
    ...(end === undefined ? {} : { [end.included ? 'endAt' : 'endBefore']: `${idAt(end.at)}.1` }),
    sinceMs: since,
    untilMs: until,
  };
  const request: Partial<ReadRequest> = {
    ...bounds,
    glob: ask.glob,
    tail,
    backwards,
    limit: ask.limit,
    last,
    packed: ask.packed,
  };

  const glob = compileGlob(ask.glob === '' ? '/**/*' : ask.glob);
  const selected = events.filter(({ counter, namespace, logTimeMs }) => {
    if (!glob.matches(namespace)) return false;
    if (ask.start !== undefined && counter < idAt(ask.start.at) + (ask.start.included ? 0 : 1)) return false;
    if (end !== undefined && counter > idAt(end.at) - (end.included ? 0 : 1)) return false;
    return logTimeMs >= (since ?? 0) && logTimeMs < (until ?? Number.POSITIVE_INFINITY);
  });
  const counters = selected.map((event) => event.counter).slice(last === 0 ? 0 : -last);
  if (backwards) counters.reverse();
  return { request, expected: counters.slice(0, ask.limit === 0 ? counters.length : ask.limit) };
}

test('a read is what the plain list of all events says, whatever is asked for', async () => {
  await fc.assert(
    fc.asyncProperty(
      batches,
      fc.integer({ min: 1, max: 2000 }),
      fc.array(asks, { minLength: 5, maxLength: 20 }),
      async (written, cacheBytes, asked) => {
        const { stream, events } = await streamOf(written, cacheBytes);
        for (const ask of asked) {
          const { request, expected } = translate(ask, events);
          assert.deepEqual((await readWith(stream, request)).counters, expected, JSON.stringify(request));
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('since T and until T part the stream at every T, though timestamps go back', async () => {
  const moves = [0, 50, -200, 10, 120, -30, 60, 0, 5];
  const { stream, events } = await streamOf(
    moves.map((movesMs) => ({ namespaces: ['/a', '/b'], movesMs, joins: false })),
  );
  assert.ok(events.some(({ timestampMs, logTimeMs }) => timestampMs < logTimeMs));
  for (let time = timeAt(events, 0); time <= timeAt(events, 1); time += 5) {
    const until = await readWith(stream, { untilMs: time });
    const since = await readWith(stream, { sinceMs: time });
    assert.deepEqual(
      [...until.counters, ...since.counters],
      events.map(({ counter }) => counter),
      `time ${time}`,
    );
    assert.ok(until.timestampsMs.every((timestampMs) => timestampMs < time));
  }
});

test('where log time lies in the future, a read until now has all there is, and one since the past', async () => {
  const DAY_MS = 86_400_000;
  const moves = [0, 30 * DAY_MS, -30 * DAY_MS + 1000, 1000];
  const { cluster, stream, events } = await streamOf(
    moves.map((movesMs) => ({ namespaces: ['/a'], movesMs, joins: false })),
  );
  const nowMs = cluster.server(1).clock.utcMs();
  const all = events.map(({ counter }) => counter);
  assert.deepEqual((await readWith(stream, { untilMs: nowMs })).counters, all);
  assert.deepEqual((await readWith(stream, { untilMs: nowMs, backwards: true })).counters, all.toReversed());
  assert.deepEqual((await readWith(stream, { untilMs: nowMs - 60_000 })).counters, []);
  assert.deepEqual((await readWith(stream, { sinceMs: nowMs })).counters, all.slice(1));
});

test('the newest ten of many are read without reading the others', async () => {
  const { cluster, stream, events } = await streamOf(
    Array.from({ length: 500 }, () => ({ namespaces: ['/a'], movesMs: 1, joins: false })),
    1,
  );
  const { storage } = cluster.server(1);
  const before = storage.readRequests;
  const newest = events.slice(-10).map(({ counter }) => counter);
  assert.deepEqual((await readWith(stream, { last: 10 })).counters, newest);
  assert.deepEqual((await readWith(stream, { backwards: true, limit: 10 })).counters, newest.toReversed());
  assert.ok(storage.readRequests - before < 20, `${storage.readRequests - before} reads of the storage`);
});

test('large records are not collected in memory, and none is left out', async () => {
  const small = Array.from({ length: 40 }, () => ({ namespaces: ['/small'], movesMs: 1, joins: false }));
  const { cluster, stream } = await streamOf([], 1);
  for (let large = 0; large < 8; large++) {
    void stream.submit(packBody([{ namespace: '/large', data: Buffer.alloc(700_000) }]));
    await cluster.settle();
  }
  for (const {
    namespaces: [namespace = ''],
  } of small) {
    void stream.submit(packBody([{ namespace, data: Buffer.alloc(1) }]));
    await cluster.settle();
  }
  const { counters } = await readWith(stream, { backwards: true });
  assert.deepEqual(
    counters,
    Array.from({ length: 48 }, (_, position) => 48 - position),
  );
});

test('what stands before damage is given out, in either direction, and then the read fails', async () => {
  const { stream } = await streamOf(
    Array.from({ length: 40 }, () => ({ namespaces: ['/a'], movesMs: 1, joins: false })),
    1,
  );
  const damaged = await stream.group.indexOfCounter(counter(15));
  assert.ok(damaged !== undefined);
  const read = stream.group.read.bind(stream.group);
  stream.group.read = (from, to, maxBytes) => {
    if (from === damaged) throw new FlotillaError('DATA_LOSS', 'record of 15 is damaged');
    return read(from, from < damaged && damaged <= to ? logIndex(damaged - 1) : to, maxBytes);
  };
  for (const backwards of [false, true]) {
    const sent: ReadResult['parts'] = [];
    await assert.rejects(readWith(stream, { backwards }, sent), code('DATA_LOSS', /record of 15/));
    const counters = sent.flatMap((part) => eventsIn(part, backwards)).map((event) => event.counter);
    const whole = Array.from({ length: backwards ? 25 : 14 }, (_, at) => (backwards ? 40 - at : at + 1));
    assert.deepEqual(counters, whole);
  }
});

test('what is appended while a backwards read goes on is not part of it', async () => {
  const { stream, cluster } = await streamOf([{ namespaces: ['/a', '/a', '/a'], movesMs: 0, joins: false }]);
  const reading = readWith(stream, { backwards: true });
  void stream.submit(packBody([{ namespace: '/late', data: new Uint8Array(0) }]));
  await cluster.settle();
  assert.deepEqual((await reading).counters, [3, 2, 1]);
});

test('a tail from now on leaves out what there is', async () => {
  const { stream } = await streamOf([{ namespaces: ['/a', '/b'], movesMs: 0, joins: false }]);
  assert.deepEqual((await readWith(stream, { tail: true, fromNow: true })).counters, []);
});

test('a tail from now on begins at the end, and reads nothing of what stands before it', async (t) => {
  const { stream } = await streamOf(
    Array.from({ length: 50 }, () => ({ namespaces: ['/a', '/b'], movesMs: 0, joins: false })),
  );
  const reads = t.mock.method(stream.group, 'read');
  assert.deepEqual((await readWith(stream, { tail: true, fromNow: true, glob: '/a' })).counters, []);
  for (const { arguments: read } of reads.mock.calls) assert.equal(read[0], stream.group.commitIndex);
});

test('contradictory bounds, and times and counts that are none, are refused by field', async () => {
  const { stream } = await streamOf([{ namespaces: ['/a', '/b'], movesMs: 0, joins: false }]);
  const refused: readonly (readonly [Partial<ReadRequest>, ErrorCode, RegExp])[] = [
    [{ startAfter: '1.1', startAt: '1.1' }, 'INVALID_ARGUMENT', /^start_at: /],
    [{ endBefore: '1.1', endAt: '1.1' }, 'INVALID_ARGUMENT', /^end_at: /],
    [{ tail: true, endBefore: '1.1' }, 'INVALID_ARGUMENT', /^end_before: /],
    [{ tail: true, endAt: '1.1' }, 'INVALID_ARGUMENT', /^end_at: /],
    [{ tail: true, untilMs: 1 }, 'INVALID_ARGUMENT', /^until_ms: /],
    [{ tail: true, backwards: true }, 'INVALID_ARGUMENT', /^backwards: /],
    [{ last: 1, backwards: true }, 'INVALID_ARGUMENT', /^last: /],
    [{ fromNow: true }, 'INVALID_ARGUMENT', /^from_now: /],
    [{ fromNow: true, tail: true, last: 3 }, 'INVALID_ARGUMENT', /^last: /],
    [{ sinceMs: -1 }, 'INVALID_ARGUMENT', /^since_ms: -1 /],
    [{ untilMs: Number.NaN }, 'INVALID_ARGUMENT', /^until_ms: NaN /],
    [{ untilMs: 8.64e15 + 2 }, 'INVALID_ARGUMENT', /^until_ms: /],
    [{ last: -1 }, 'INVALID_ARGUMENT', /^last: -1 /],
    [{ limit: -1 }, 'INVALID_ARGUMENT', /^limit: -1 /],
    [{ startAt: '4.' }, 'INVALID_ARGUMENT', /^start_at: /],
    [{ startAt: '3.1' }, 'POSITION_MISMATCH', /^start_at: .*no event/],
    [{ endAt: '2.7' }, 'POSITION_MISMATCH', /^end_at: /],
    [{ endBefore: '2.7' }, 'POSITION_MISMATCH', /^end_before: /],
  ];
  for (const [request, expected, message] of refused)
    await assert.rejects(readWith(stream, request), code(expected, message), JSON.stringify(request));
});

test('below where the log begins, every bound is told the first event that there is', async () => {
  const { cluster, stream } = await streamOf(
    Array.from({ length: 9 }, () => ({ namespaces: ['/a', '/b'], movesMs: 100, joins: false })),
    1,
  );
  const changed = stream.changeSettings({ maxEvents: 12 });
  await cluster.settle();
  await changed;
  await cluster.advance(1100);
  assert.equal(stream.group.begin.nextCounter, 7);
  for (const request of [{ startAfter: '5.1' }, { startAt: '6.1' }, { endBefore: '6.1' }, { endAt: '6.1' }])
    await assert.rejects(
      readWith(stream, request),
      code('POSITION_REMOVED', /0000000000000000000700001/),
      JSON.stringify(request),
    );
  assert.deepEqual((await readWith(stream, { startAfter: '6.1' })).counters[0], 7);
  assert.deepEqual((await readWith(stream, { startAt: '7.1' })).counters[0], 7);
  assert.deepEqual((await readWith(stream, { endBefore: '7.1' })).counters, []);
  assert.deepEqual((await readWith(stream, { sinceMs: 0 })).counters[0], 7);
  assert.deepEqual((await readWith(stream, { backwards: true })).counters.at(-1), 7);
  assert.deepEqual((await readWith(stream, { last: 100 })).counters[0], 7);
});

test('a backwards read that retention overtakes ends where the stream begins; a forward one is told', async () => {
  for (const backwards of [true, false]) {
    const { cluster, stream } = await streamOf(
      Array.from({ length: 100 }, () => ({ namespaces: ['/a', '/b'], movesMs: 0, joins: false })),
      1,
    );
    let cut: Promise<void> | undefined;
    const onPart = (): Promise<void> => {
      cut ??= (async () => {
        const changed = stream.changeSettings({ maxEvents: 41 });
        await cluster.settle();
        await changed;
        await cluster.advance(1100);
      })();
      return cut;
    };
    const reading = readWith(stream, { backwards, limit: 1000 }, [], onPart);
    if (!backwards) await assert.rejects(reading, code('POSITION_REMOVED', /0000000000000000016000001/));
    else assert.deepEqual((await reading).counters, [...Array.from({ length: 41 }, (_, position) => 200 - position)]);
  }
});

test('that there is no such event is said only where a majority confirms it', async () => {
  const cluster = new StreamCluster([1, 2, 3]);
  await cluster.elect(1);
  cluster.cut(3);
  void cluster.stream(1).submit(packBody([{ namespace: '/a', data: new Uint8Array(0) }]));
  await cluster.commitIsKnown();
  for (const actor of [1, 2]) cluster.cut(actor);
  const stream = cluster.stream(3);
  for (const bound of ['startAfter', 'startAt', 'endAt'] as const) {
    const alone = assert.rejects(
      readWith(stream, { [bound]: '1.1' }),
      code('NO_LEADER', /: this node does not know of event .*1 yet, and waits/),
    );
    await cluster.advance(LIMITS.readIndexTimeoutMs + 500);
    await alone;
  }
  for (const actor of [1, 2, 3]) cluster.heal(actor);
  await cluster.elect(1);
  const reading = readWith(stream, { startAt: '1.1' });
  await cluster.advance(500);
  assert.deepEqual((await reading).counters, [1]);
  const beyond = assert.rejects(readWith(stream, { startAt: '2.1' }), code('POSITION_MISMATCH', /no event/));
  await cluster.advance(500);
  await beyond;
});

test('get gives the event of an id, and says what is wrong with another', async () => {
  const { stream } = await streamOf([
    { namespaces: ['/a', '/b'], movesMs: 0, joins: false },
    { namespaces: ['/c'], movesMs: 0, joins: false },
  ]);
  const get = (id: string, incarnation = ''): Promise<Event> =>
    getEvent({ stream: '', id, incarnation }, stream, newReading(), new AbortController().signal);
  assert.equal((await get('2.1')).namespace, '/b');
  assert.equal((await get('0000000000000000000300001')).namespace, '/c');
  await assert.rejects(get('4.1'), code('NOT_FOUND', /^id: the stream has no event/));
  await assert.rejects(get('2.7'), code('POSITION_MISMATCH', /^id: /));
  await assert.rejects(get('7654'), code('INVALID_ARGUMENT', /^id: /));
  await assert.rejects(get('1.1', 'f'.repeat(32)), code('POSITION_MISMATCH', /^incarnation: /));
});

test('a reader that stalls holds nothing meanwhile, and gets every event once', async () => {
  const { cluster, stream } = await streamOf([{ namespaces: ['/a'], movesMs: 0, joins: false }]);
  const data = Buffer.alloc(50 * 1024);
  for (let at = 0; at < 12; at++) {
    void stream.submit(packBody(['/a', '/b', '/a/c'].map((namespace) => ({ namespace, data }))));
    if (at % 3 === 0) await cluster.settle();
  }
  await cluster.settle();
  const asks = [
    { packed: true },
    { packed: false },
    { packed: false, backwards: true },
    { packed: true, backwards: true },
    { packed: false, glob: '/a/*' },
  ];
  await Promise.all(
    asks.map(async (ask) => {
      const reading = newReading();
      let parts = 0;
      const onPart = (): Promise<void> | undefined => {
        if (parts++ === 0 || parts > 4) return undefined;
        // Once the reader counts as stalled, its records are not held any more: all of the memory is there.
        return new Promise((resolve, reject) => {
          setTimeout(() => {
            const all = reading.records.take(LIMITS.readRecordsBytes);
            reading.records.give(LIMITS.readRecordsBytes);
            const rest = reading.records.take(0);
            if (all === undefined && rest === undefined) resolve();
            else reject(new Error('a stalled reader holds records'));
          }, 2 * LIMITS.readStallMs);
        });
      };
      const { counters } = await readWith(stream, ask, [], onPart, reading);
      const wanted = Array.from({ length: 37 }, (_, at) => at + 1).filter(
        (each) => ask.glob === undefined || (each > 1 && (each - 1) % 3 === 0),
      );
      assert.deepEqual(counters, ask.backwards === true ? wanted.reverse() : wanted, JSON.stringify(ask));
      assert.ok(parts > 4, `${parts} parts`);
    }),
  );
});
