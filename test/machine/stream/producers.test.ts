/** What a stream remembers of producers: reached by applying records, bounded, and the same after encoding. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  actorId,
  asciiBytes,
  counter,
  FlotillaError,
  LIMITS,
  logIndex,
  seededRandom,
  term,
} from '../../../src/base/index.js';
import { BATCH_HEADER_BYTES, type ProducerStamp, writeBatchHeader } from '../../../src/event/index.js';
import {
  decodeOpenProducer,
  encodeOpenProducer,
  FIRST_NAMED_EPOCH,
  type KnownBatch,
  StreamMachine,
} from '../../../src/machine/stream/index.js';

/** A named producer; BERT has no name. */
const ANNA = { id: 101, name: 'anna' };
const BERT = 202;

/** A log of one machine: each call appends a record and applies it. */
class Log {
  machine = StreamMachine.initial();
  timeMs = 1_000_000;

  open(producer: { id: number; name: string }): void {
    this.apply('producer', 0, encodeOpenProducer(producer));
  }

  /** A record with a plain batch between stamped ones of one event each. */
  append(...stamps: ProducerStamp[]): void {
    const plain: ProducerStamp = { producer: 0, epoch: 0, sequence: 0 };
    const batches = [plain, ...stamps, plain];
    const payload = Buffer.alloc(batches.length * (BATCH_HEADER_BYTES + 3));
    let baseCounter: number = this.machine.nextCounter;
    for (const [at, stamp] of batches.entries()) {
      const place = { flags: 0, actor: actorId(7), count: 1, baseCounter: counter(baseCounter++), timestampMs: 5 };
      const body = { bodyLength: 3, bodyChecksum: stamp.sequence };
      writeBatchHeader(payload, at * (BATCH_HEADER_BYTES + 3), { ...place, ...stamp, ...body });
    }
    this.apply('events', batches.length, payload);
  }

  /** A record with the first batches of producers without a name. */
  appendFirsts(ids: readonly number[]): void {
    const payload = Buffer.alloc(ids.length * (BATCH_HEADER_BYTES + 3));
    const batch = { ...unnamed(1), flags: 0, actor: actorId(7), count: 1, bodyLength: 3, bodyChecksum: 1 };
    const header = { ...batch, baseCounter: this.machine.nextCounter, timestampMs: 5 };
    writeBatchHeader(payload, 0, header);
    for (const [at, id] of ids.entries()) {
      const offset = at * (BATCH_HEADER_BYTES + 3);
      payload.copyWithin(offset, 0, BATCH_HEADER_BYTES);
      payload.writeBigUInt64LE(BigInt(id), offset + PRODUCER_OFFSET);
    }
    this.apply('events', ids.length, payload);
  }

  /** Log time goes on, record by record. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= LIMITS.producerIdleStepMs) {
      this.timeMs += Math.min(left, LIMITS.producerIdleStepMs);
      this.append();
    }
  }

  /** The sequence of a producer's last batch; undefined where it is not known. */
  sequenceOf(id: number): number | undefined {
    return this.machine.producers.get(id)?.sequence;
  }

  private apply(kind: 'producer' | 'events', eventCount: number, payload: Uint8Array): void {
    const { appliedIndex, nextCounter } = this.machine;
    const place = { index: logIndex(appliedIndex + 1), term: term(3), firstCounter: nextCounter };
    this.machine.apply({ kind, ...place, eventCount, timeMs: this.timeMs, payload });
  }
}

/** Offset of the producer id in a batch header. */
const PRODUCER_OFFSET = 24;

const named = (sequence: number, epoch = FIRST_NAMED_EPOCH): ProducerStamp => ({ producer: ANNA.id, epoch, sequence });
const unnamed = (sequence: number, producer = BERT): ProducerStamp => ({ producer, epoch: 1, sequence });

test('a producer without a name is known from its first batch on, with where its batches stand', () => {
  const log = new Log();
  log.append(unnamed(1), unnamed(1, 303), unnamed(2));
  const bert = log.machine.producers.get(BERT);
  assert.deepEqual(bert, { id: BERT, name: '', epoch: 1, openedAs: 0, usedMs: 1_000_000, sequence: 2 });
  const known = { count: 1, actor: 7, index: 1, term: 3, bodyLength: 3 };
  assert.deepEqual(
    [0, 1, 2, 3].map((sequence) => log.machine.producers.batch(BERT, sequence)),
    [
      undefined,
      { ...known, firstCounter: 2, bodyChecksum: 1 },
      { ...known, firstCounter: 4, bodyChecksum: 2 },
      undefined,
    ],
  );
  assert.equal(log.sequenceOf(303), 1);
});

test('only its first batch makes a producer without a name known; one out of sequence leaves no trace', () => {
  const log = new Log();
  log.append(unnamed(2), { ...unnamed(1, 303), epoch: 2 }, named(1));
  assert.deepEqual(
    [BERT, 303, ANNA.id].map((id) => log.sequenceOf(id)),
    [undefined, undefined, undefined],
  );
  log.append(unnamed(1), unnamed(3), { ...unnamed(2), epoch: 2 });
  assert.equal(log.sequenceOf(BERT), 1);
});

test('a named producer is known once it is opened, and has its next epoch when it is opened again', () => {
  const log = new Log();
  log.open(ANNA);
  log.append(named(1));
  log.open({ id: 999, name: 'anna' });
  const anna = log.machine.producerNamed('anna');
  assert.deepEqual([anna?.id, anna?.epoch, anna?.openedAs, anna?.sequence], [ANNA.id, 3, 999, 1]);
  assert.deepEqual(log.machine.producers.get(ANNA.id), anna);
  assert.equal(log.machine.producers.get(999), undefined);
  log.append(named(2));
  assert.equal(log.sequenceOf(ANNA.id), 1, 'a batch of an earlier epoch counts for nothing');
  log.append(named(2, 3));
  assert.equal(log.sequenceOf(ANNA.id), 2);
  assert.equal(log.machine.producerNamed('bert'), undefined);
});

test('the last batches of each producer are known, and no more', () => {
  const log = new Log();
  const sequences = Array.from({ length: 3 * LIMITS.producerBatches + 5 }, (_, at) => at + 1);
  for (const sequence of sequences) log.append(unnamed(sequence), unnamed(sequence, 303));
  for (const id of [BERT, 303])
    assert.deepEqual(
      sequences.filter((sequence) => log.machine.producers.batch(id, sequence)?.bodyChecksum === sequence),
      sequences.slice(-LIMITS.producerBatches),
    );
});

test('a producer that is silent for too long by log time is forgotten, with its name; the others are kept', () => {
  const log = new Log();
  log.open(ANNA);
  log.append(unnamed(1));
  const { appliedIndex } = log.machine;
  log.append(unnamed(1, 303));
  log.pass(LIMITS.producerIdleMs);
  log.append(unnamed(2, 303));
  assert.deepEqual(
    [BERT, ANNA.id].map((id) => log.sequenceOf(id)),
    [1, 0],
    'as long as that is not too long',
  );
  assert.equal(log.machine.producers.forgottenIndex, 0);
  log.pass(1);
  assert.deepEqual(
    [BERT, ANNA.id, 303].map((id) => log.sequenceOf(id)),
    [undefined, undefined, 2],
  );
  assert.equal(log.machine.producerNamed('anna'), undefined);
  assert.equal(log.machine.producers.forgottenIndex, appliedIndex, 'the last batch of the forgotten one');
  log.append(named(1), unnamed(2));
  assert.deepEqual(
    [BERT, ANNA.id].map((id) => log.sequenceOf(id)),
    [undefined, undefined],
    'none comes back by itself',
  );
  log.open({ id: 404, name: 'anna' });
  assert.deepEqual([log.machine.producerNamed('anna')?.id, log.machine.producerNamed('anna')?.epoch], [404, 2]);
});

test('one time that lies weeks ahead, and its correction, make no producer forgotten', () => {
  const log = new Log();
  log.append(unnamed(1));
  const { timeMs } = log;
  for (const aheadMs of [30, 60, 400].map((days) => days * 24 * 60 * 60 * 1000)) {
    log.timeMs = timeMs + aheadMs;
    log.append();
    log.timeMs = timeMs;
    log.append();
  }
  assert.equal(log.sequenceOf(BERT), 1);
  log.pass(LIMITS.producerIdleMs - 3 * LIMITS.producerIdleStepMs);
  assert.equal(log.sequenceOf(BERT), 1);
  log.pass(1);
  assert.equal(log.sequenceOf(BERT), undefined, 'each leap counts as one step');
});

test('a producer that was silent for long is known again by its next batch, which is what makes the time pass', () => {
  const log = new Log();
  log.append(unnamed(1));
  log.timeMs += 2 * LIMITS.producerIdleMs;
  log.append(unnamed(2));
  assert.equal(log.sequenceOf(BERT), 2);
});

function oneShots(log: Log, count: number, firstId: number): void {
  log.appendFirsts(Array.from({ length: count }, (_, at) => firstId + at));
}

test('beyond their bound the one that was silent longest is forgotten, those without a name first', () => {
  const log = new Log();
  log.open(ANNA);
  log.append(unnamed(1));
  oneShots(log, LIMITS.producers - 3, 1_000_000);
  log.append(unnamed(2));
  const { appliedIndex } = log.machine;
  log.append(unnamed(1, 303), unnamed(1, 404), unnamed(1, 505));
  assert.deepEqual(
    [ANNA.id, BERT, 303, 404, 505].map((id) => log.sequenceOf(id)),
    [0, 2, 1, 1, 1],
  );
  assert.deepEqual(
    [1_000_000, 1_000_001, 1_000_002].map((id) => log.sequenceOf(id)),
    [undefined, undefined, 1],
  );
  assert.ok(log.machine.producers.forgottenIndex < appliedIndex);
  log.open({ id: 606, name: 'carl' });
  assert.equal(log.sequenceOf(1_000_002), undefined);
  assert.ok(log.machine.producerNamed('anna') !== undefined);
});

test('seventy thousand producers of one batch later the state has a few MiB, and goes on', () => {
  const log = new Log();
  const names = Array.from({ length: 100 }, (_, at) => ({ id: at + 1, name: `name-${at}` }));
  for (const producer of names) log.open(producer);
  const draw = seededRandom(1);
  const random = Array.from({ length: 70_000 }, () => 2 ** 40 + Math.floor(draw() * 2 ** 32) * 2 ** 20);
  for (let from = 0; from < random.length; from += 100) {
    log.timeMs += 5000;
    log.appendFirsts(random.slice(from, from + 100));
  }
  const bytes = log.machine.encode();
  log.machine = StreamMachine.decode(bytes);
  assert.ok(bytes.byteLength < 4 * 1024 * 1024, `${bytes.byteLength} bytes`);
  assert.deepEqual(log.machine.encode(), bytes);
  const [first, last] = [random[0] ?? 0, random.at(-1) ?? 0];
  log.append(unnamed(2, last), unnamed(2, first), unnamed(1, 303));
  assert.deepEqual(
    [last, first, 303].map((id) => log.sequenceOf(id)),
    [2, undefined, 1],
  );
  assert.ok(log.machine.producerNamed('name-0') !== undefined);
});

test('encoded in steps it is the state as of the first one, whatever comes between them', () => {
  const log = new Log();
  log.open(ANNA);
  log.append(named(1));
  const encodedInSteps = (between: () => void): { steps: number; bytes: Uint8Array } => {
    const encoding = log.machine.encodeInSteps();
    for (let steps = 1; ; steps++) {
      const { done, value } = encoding.next();
      if (done === true) return { steps, bytes: value };
      between();
    }
  };
  const small = log.machine.encode();
  assert.deepEqual(
    encodedInSteps(() => log.append(named(2))),
    { steps: 1, bytes: small },
  );
  oneShots(log, LIMITS.producers - 1, 1_000_000);
  for (let sequence = 2; sequence < 9; sequence++) log.append(named(sequence), unnamed(sequence, 1_000_007));
  const large = log.machine.encode();
  let next = 2_000_000;
  const { steps, bytes } = encodedInSteps(() => {
    oneShots(log, 2000, next);
    next += 2000;
    log.open({ id: next, name: `name-${next}` });
    log.append(unnamed(9, 1_000_007));
  });
  assert.ok(steps > 10, `${steps} steps`);
  assert.ok(Buffer.compare(bytes, large) === 0);
  assert.notDeepEqual(log.machine.encode(), large);
});

test('encode and decode: the same state, the same bytes, and the same from then on', () => {
  const step = fc.oneof(
    fc.record({ open: fc.integer({ min: 1, max: 6 }), name: fc.constantFrom('a', 'b') }),
    fc.record({
      producer: fc.integer({ min: 1, max: 12 }),
      epoch: fc.integer({ min: 1, max: 2 }),
      sequence: fc.integer({ min: 1, max: 4 }),
    }),
    fc.record({ run: fc.integer({ min: 7, max: 9 }), to: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ laterMs: fc.constantFrom(1, LIMITS.producerIdleMs) }),
  );
  const carryOut = (
    log: Log,
    steps: readonly (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[],
  ): void => {
    for (const each of steps) {
      if ('open' in each) log.open({ id: each.open, name: each.name });
      else if ('laterMs' in each) log.pass(each.laterMs);
      else if ('run' in each) log.append(...Array.from({ length: each.to }, (_, at) => unnamed(at + 1, each.run)));
      else log.append(each);
    }
  };
  fc.assert(
    fc.property(fc.array(step), fc.array(step), (before, after) => {
      const [whole, resumed] = [new Log(), new Log()];
      carryOut(whole, before);
      resumed.machine = StreamMachine.decode(whole.machine.encode());
      resumed.timeMs = whole.timeMs;
      assert.deepEqual(resumed.machine.encode(), whole.machine.encode());
      const batches = (log: Log): (KnownBatch | undefined)[] =>
        [7, 8, 9].flatMap((id) =>
          Array.from({ length: 41 }, (_, sequence) => log.machine.producers.batch(id, sequence)),
        );
      assert.deepEqual(batches(resumed), batches(whole));
      carryOut(whole, after);
      carryOut(resumed, after);
      assert.deepEqual(resumed.machine.encode(), whole.machine.encode());
    }),
  );
});

test('a producer record of a newer version stops the node', () => {
  assert.deepEqual(decodeOpenProducer(encodeOpenProducer(ANNA)), ANNA);
  for (const text of [
    '{"format":2,"id":1,"name":"a"}',
    '{"format":1,"id":1,"name":"a","more":1}',
    '{"format":1,"id":1}',
  ]) {
    assert.throws(
      () => decodeOpenProducer(asciiBytes(text)),
      (error) => error instanceof FlotillaError && error.code === 'UPGRADE_NEEDED',
      text,
    );
  }
});
