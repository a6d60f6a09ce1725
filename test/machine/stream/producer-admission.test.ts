/** What a leader decides about a stamped batch, by what has taken effect and what it has appended since. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { actorId, counter, LIMITS, type LogIndex, logIndex, term } from '../../../src/base/index.js';
import type { ProducerStamp } from '../../../src/event/index.js';
import { type OpenProducer, ProducerAdmission, ProducerTable } from '../../../src/machine/stream/index.js';

/** A batch in the log of this leader. */
interface Placed {
  readonly stamp: ProducerStamp;
  readonly content: number;
  readonly index: LogIndex;
}

/** A leader's log, of which only some has taken effect. A batch's content stands for its events. */
class Leader {
  readonly table = new ProducerTable();
  readonly log: Placed[] = [];
  private readonly admission = new ProducerAdmission();
  private applied = 0;
  private last = 0;

  get lastIndex(): LogIndex {
    return logIndex(this.last);
  }

  /** What the producer is told; a batch that is to be appended is. */
  send(stamp: ProducerStamp, content = stamp.sequence): string {
    const decision = this.admission.decide(stamp, { count: 1, bodyLength: 3, bodyChecksum: content }, this.table);
    if (decision.kind === 'append') {
      const index = logIndex(++this.last);
      this.admission.appended(stamp, index);
      this.log.push({ stamp, content, index });
      return `appended ${index}`;
    }
    if (decision.kind === 'wait') return `wait ${decision.index}`;
    if (decision.kind === 'known') return `known ${decision.place.index}`;
    return `${decision.error.code}${decision.isCertain ? '' : ', unless overtaken'}`;
  }

  /** So many more batches take effect; without a number, all of them. */
  apply(count = this.log.length - this.applied): void {
    for (const { stamp, content, index } of this.log.slice(this.applied, this.applied + count)) {
      const place = { flags: 0, actor: actorId(1), count: 1, baseCounter: counter(index), timestampMs: 5 };
      const header = { ...place, ...stamp, bodyLength: 3, bodyChecksum: content };
      this.table.appended(header, { index, term: term(1) }, 1000);
      this.admission.advance(index);
      this.applied++;
    }
  }

  open(producer: OpenProducer): void {
    this.last++;
    this.table.open(producer, 1000);
  }

  /** Registers so many other producers, each with one batch. */
  others(count: number): void {
    for (let id = 2 ** 40 + this.last, left = count; left > 0; left--, id++)
      this.send({ ...stamp(1, id), bornAfter: this.lastIndex });
    this.apply();
  }
}

const stamp = (sequence: number, producer = 7, epoch = 1): ProducerStamp => ({ producer, epoch, sequence });

test('a producer without a name needs no opening, and may have many batches under way', () => {
  const leader = new Leader();
  assert.deepEqual(
    [1, 2, 3].map((sequence) => leader.send(stamp(sequence))),
    ['appended 1', 'appended 2', 'appended 3'],
  );
  leader.apply();
  assert.equal(leader.send(stamp(4)), 'appended 4');
});

test('the second attempt of a batch waits until the first has taken effect, and then has its place', () => {
  const leader = new Leader();
  for (const sequence of [1, 2, 3]) leader.send(stamp(sequence));
  assert.deepEqual([leader.send(stamp(1)), leader.send(stamp(3), 99)], ['wait 1', 'wait 3']);
  leader.apply(2);
  assert.deepEqual(
    [leader.send(stamp(1)), leader.send(stamp(2)), leader.send(stamp(3))],
    ['known 1', 'known 2', 'wait 3'],
  );
  leader.apply();
  assert.deepEqual([leader.send(stamp(3)), leader.send(stamp(3), 99)], ['known 3', 'SEQUENCE_REUSED']);
});

test('a gap, another epoch, and a batch that is not remembered any more are refused', () => {
  const leader = new Leader();
  assert.equal(leader.send(stamp(2)), 'PRODUCER_EXPIRED, unless overtaken');
  leader.send(stamp(1));
  assert.equal(leader.send(stamp(3)), 'SEQUENCE_GAP, unless overtaken');
  leader.apply();
  assert.equal(leader.send(stamp(3)), 'SEQUENCE_GAP, unless overtaken');
  assert.equal(leader.send(stamp(2, 7, 2)), 'INVALID_ARGUMENT, unless overtaken');
  for (let sequence = 2; sequence <= LIMITS.producerBatches + 1; sequence++) leader.send(stamp(sequence));
  leader.apply();
  assert.deepEqual([leader.send(stamp(1)), leader.send(stamp(2))], ['PRODUCER_EXPIRED', 'known 2']);
});

test('a named producer is refused until it is opened, and its last holder once it is opened again', () => {
  const leader = new Leader();
  assert.equal(leader.send(stamp(1, 7, 2)), 'PRODUCER_EXPIRED, unless overtaken');
  leader.open({ id: 7, name: 'n' });
  assert.equal(leader.send(stamp(1, 7, 1)), 'PRODUCER_FENCED', 'epoch 1 is not one that it ever had');
  assert.equal(leader.send(stamp(1, 7, 2)), 'appended 2');
  leader.apply();
  leader.open({ id: 8, name: 'n' });
  assert.deepEqual([leader.send(stamp(2, 7, 2)), leader.send(stamp(2, 7, 3))], ['PRODUCER_FENCED', 'appended 4']);
});

test('the first batch of a forgotten producer is refused, whatever its stamp says; that of a new one goes in', () => {
  const leader = new Leader();
  const born = leader.lastIndex;
  leader.send({ ...stamp(1), bornAfter: born });
  leader.apply();
  leader.others(LIMITS.producers - 1);
  assert.equal(leader.send({ ...stamp(1), bornAfter: born }), 'known 1', 'it is the oldest, and still known');
  leader.others(1);
  assert.equal(leader.send({ ...stamp(1), bornAfter: born }), 'PRODUCER_EXPIRED, unless overtaken');
  assert.equal(
    leader.send(stamp(1)),
    'PRODUCER_EXPIRED, unless overtaken',
    'a stamp that says nothing is refused, too',
  );
  assert.match(leader.send({ ...stamp(1, 8), bornAfter: leader.lastIndex }), /^appended/);
  leader.apply();
  const early = { ...stamp(1, 9), bornAfter: logIndex(5) };
  assert.match(
    leader.send(early),
    /^appended/,
    'others were forgotten, but none whose last batch stands behind record 5',
  );
});

test('a producer that is forgotten while it has batches on their way stays forgotten', () => {
  const leader = new Leader();
  leader.send(stamp(1));
  leader.apply();
  leader.others(LIMITS.producers - 1);
  leader.send({ ...stamp(1, 8), bornAfter: leader.lastIndex });
  assert.match(leader.send(stamp(2)), /^appended/);
  leader.apply(1);
  assert.match(leader.send(stamp(3)), /^wait/, 'nothing can be said until its last batch has taken effect');
  leader.apply();
  assert.equal(leader.send(stamp(3)), 'PRODUCER_EXPIRED, unless overtaken');
});

test('whatever is sent, and sent again, in any order: each batch goes in at most once, and in sequence', () => {
  const step = fc.oneof(
    fc.record({
      sequence: fc.integer({ min: 1, max: 12 }),
      producer: fc.integer({ min: 1, max: 3 }),
      content: fc.nat(1),
    }),
    fc.record({ apply: fc.integer({ min: 1, max: 4 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const leader = new Leader();
      for (const each of steps) {
        if ('apply' in each) leader.apply(each.apply);
        else check(leader, each);
      }
      for (const producer of [1, 2, 3]) {
        const sequences = leader.log.filter((batch) => batch.stamp.producer === producer);
        assert.deepEqual(
          sequences.map((batch) => batch.stamp.sequence),
          sequences.map((_, at) => at + 1),
        );
      }
    }),
  );
});

function check(leader: Leader, sent: { sequence: number; producer: number; content: number }): void {
  const there = leader.log.find(
    (batch) => batch.stamp.producer === sent.producer && batch.stamp.sequence === sent.sequence,
  );
  const told = leader.send(stamp(sent.sequence, sent.producer), sent.content);
  if (there === undefined) assert.match(told, /^appended|^SEQUENCE_GAP|^PRODUCER_EXPIRED, unless/);
  else if (there.content === sent.content)
    assert.ok([`wait ${there.index}`, `known ${there.index}`].includes(told), told);
  else assert.ok([`wait ${there.index}`, 'SEQUENCE_REUSED'].includes(told), told);
}
