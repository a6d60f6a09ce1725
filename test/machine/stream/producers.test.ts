/** What a stream remembers of producers: reached by applying records, bounded, and the same after encoding. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { actorId, asciiBytes, counter, FlotillaError, LIMITS, logIndex, term } from '../../../src/base/index.js';
import { BATCH_HEADER_BYTES, type ProducerStamp, writeBatchHeader } from '../../../src/event/index.js';
import {
  decodeOpenProducer,
  encodeOpenProducer,
  knownBatch,
  StreamMachine,
} from '../../../src/machine/stream/index.js';

const ANNA = { id: 101, name: 'anna' };
const BERT = { id: 202, name: '' };

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

  /** Log time goes on, record by record. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= LIMITS.producerIdleStepMs) {
      this.timeMs += Math.min(left, LIMITS.producerIdleStepMs);
      this.append();
    }
  }

  private apply(kind: 'producer' | 'events', eventCount: number, payload: Uint8Array): void {
    const { appliedIndex, nextCounter } = this.machine;
    const place = { index: logIndex(appliedIndex + 1), term: term(3), firstCounter: nextCounter };
    this.machine.apply({ kind, ...place, eventCount, timeMs: this.timeMs, payload });
  }
}

const stamp = (sequence: number, epoch = 1, producer = ANNA.id): ProducerStamp => ({ producer, epoch, sequence });

test('a producer that was opened has its batches known, in their order, with where they stand', () => {
  const log = new Log();
  log.open(ANNA);
  log.open(BERT);
  log.append(stamp(1), stamp(1, 1, BERT.id), stamp(2));
  const anna = log.machine.producer(ANNA.id);
  assert.deepEqual([anna?.epoch, anna?.sequence, anna?.usedMs], [1, 2, 1_000_000]);
  const known = { count: 1, actor: 7, index: 3, term: 3, bodyLength: 3 };
  assert.deepEqual(anna?.batches, [
    { ...known, firstCounter: 2, bodyChecksum: 1 },
    { ...known, firstCounter: 4, bodyChecksum: 2 },
  ]);
  assert.deepEqual(anna && [0, 1, 2, 3].map((sequence) => knownBatch(anna, sequence)?.firstCounter), [
    undefined,
    2,
    4,
    undefined,
  ]);
  assert.equal(log.machine.producerNamed('anna'), anna);
  assert.equal(log.machine.producerNamed(''), undefined);
  assert.equal(log.machine.producer(BERT.id)?.sequence, 1);
});

test('who opens a name again has the next epoch, and goes on where the last left off', () => {
  const log = new Log();
  log.open(ANNA);
  log.append(stamp(1));
  log.open({ id: 999, name: 'anna' });
  const anna = log.machine.producerNamed('anna');
  assert.deepEqual([anna?.id, anna?.epoch, anna?.openedAs, anna?.sequence], [ANNA.id, 2, 999, 1]);
  assert.equal(log.machine.producer(999), undefined);
  log.append(stamp(2, 1));
  assert.equal(log.machine.producer(ANNA.id)?.sequence, 1, 'an earlier epoch counts for nothing');
  log.append(stamp(2, 2));
  assert.equal(log.machine.producer(ANNA.id)?.sequence, 2);
});

test('what does not follow, and whom nobody opened, leave no trace', () => {
  const log = new Log();
  log.open(ANNA);
  log.append(stamp(2), stamp(1, 1, 555));
  assert.equal(log.machine.producer(ANNA.id)?.sequence, 0);
  assert.equal(log.machine.producer(555), undefined);
});

test('of each producer the last batches are known, and no more', () => {
  const log = new Log();
  log.open(ANNA);
  const sequences = Array.from({ length: LIMITS.producerBatches + 5 }, (_, at) => at + 1);
  for (const sequence of sequences) log.append(stamp(sequence));
  const anna = log.machine.producer(ANNA.id);
  assert.ok(anna !== undefined);
  assert.equal(anna.batches.length, LIMITS.producerBatches);
  assert.deepEqual(
    sequences.filter((sequence) => knownBatch(anna, sequence)?.bodyChecksum === sequence),
    sequences.slice(5),
  );
});

test('one that is silent for too long by log time is forgotten, with its name; whoever was not is kept', () => {
  const log = new Log();
  log.open(ANNA);
  log.open(BERT);
  log.pass(LIMITS.producerIdleMs);
  log.append(stamp(1, 1, BERT.id));
  assert.ok(log.machine.producer(ANNA.id) !== undefined, 'as long as that is not too long');
  log.pass(1);
  assert.equal(log.machine.producer(ANNA.id), undefined);
  assert.equal(log.machine.producerNamed('anna'), undefined);
  assert.equal(log.machine.producer(BERT.id)?.sequence, 1);
  log.append(stamp(1));
  assert.equal(log.machine.producer(ANNA.id), undefined, 'it does not come back by itself');
  log.open({ id: 303, name: 'anna' });
  assert.deepEqual([log.machine.producerNamed('anna')?.id, log.machine.producerNamed('anna')?.epoch], [303, 1]);
});

test('one time that lies weeks ahead, and its correction, make no producer forgotten', () => {
  const log = new Log();
  log.open(ANNA);
  const { timeMs } = log;
  for (const aheadMs of [30, 60, 400].map((days) => days * 24 * 60 * 60 * 1000)) {
    log.timeMs = timeMs + aheadMs;
    log.append();
    log.timeMs = timeMs;
    log.append();
  }
  assert.ok(log.machine.producer(ANNA.id) !== undefined);
  log.pass(LIMITS.producerIdleMs - 3 * LIMITS.producerIdleStepMs);
  assert.ok(log.machine.producer(ANNA.id) !== undefined);
  log.pass(1);
  assert.equal(log.machine.producer(ANNA.id), undefined, 'each leap counts as one step');
});

test('a producer that was silent for long is known again by its next batch, which is what makes the time pass', () => {
  const log = new Log();
  log.open(ANNA);
  log.timeMs += 2 * LIMITS.producerIdleMs;
  log.append(stamp(1));
  assert.equal(log.machine.producer(ANNA.id)?.sequence, 1);
});

test('beyond their bound the one that was silent longest is forgotten, those without a name first', () => {
  const log = new Log();
  log.open(ANNA);
  for (let id = 1000; id < 1000 + LIMITS.producers - 1; id++) log.open({ id, name: `n${id}` });
  log.append(stamp(1));
  log.open(BERT);
  assert.ok(log.machine.producer(ANNA.id) !== undefined, 'it was used last but one');
  assert.equal(log.machine.producer(1000), undefined);
  assert.equal(log.machine.producerNamed('n1000'), undefined);
  log.open({ id: 5000, name: 'last' });
  assert.equal(log.machine.producer(BERT.id), undefined, 'it has no name');
  assert.ok(log.machine.producer(1001) !== undefined);
});

test('encode and decode: the same state, the same bytes, and the same from then on', () => {
  const step = fc.oneof(
    fc.record({ open: fc.integer({ min: 1, max: 6 }), name: fc.constantFrom('', 'a', 'b') }),
    fc.record({
      producer: fc.integer({ min: 1, max: 6 }),
      epoch: fc.integer({ min: 1, max: 2 }),
      sequence: fc.integer({ min: 1, max: 4 }),
    }),
    fc.record({ laterMs: fc.constantFrom(1, LIMITS.producerIdleMs) }),
  );
  const carryOut = (
    log: Log,
    steps: readonly (typeof step extends fc.Arbitrary<infer Step> ? Step : never)[],
  ): void => {
    for (const each of steps) {
      if ('open' in each) log.open({ id: each.open, name: each.name });
      else if ('laterMs' in each) log.timeMs += each.laterMs;
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
      carryOut(whole, after);
      carryOut(resumed, after);
      assert.deepEqual(resumed.machine.encode(), whole.machine.encode());
    }),
  );
});

test('a producer record of a newer version stops the node', () => {
  assert.deepEqual(decodeOpenProducer(encodeOpenProducer(ANNA)), ANNA);
  for (const text of [
    '{"format":2,"id":1,"name":""}',
    '{"format":1,"id":1,"name":"","more":1}',
    '{"format":1,"id":1}',
  ]) {
    assert.throws(
      () => decodeOpenProducer(asciiBytes(text)),
      (error) => error instanceof FlotillaError && error.code === 'UPGRADE_NEEDED',
      text,
    );
  }
});
