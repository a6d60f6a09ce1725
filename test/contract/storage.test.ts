/** What src/group/ports.ts promises of `Storage` and `GroupLog`, of every implementation that there is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { actorId, counter, FlotillaError, type LogIndex, logIndex, term } from '../../src/base/index.js';
import type { GroupLog, PersistRequest, Storage } from '../../src/group/index.js';
import { timeBound } from '../../src/machine/stream/index.js';
import { type Checkpoint, type LogRecord, RECORD_HEADER_BYTES, tailAfter } from '../../src/wire/index.js';
import { append, checksums, GROUP, INCARNATION, membershipOf, RecordChain, stateAfter } from '../storage/fixture.js';
import { GROUPS, STORAGES, type StorageUnderTest } from './implementations.js';

const END = logIndex(Number.MAX_SAFE_INTEGER);

/** Everything that a group's log holds above its begin. */
async function readAll(storage: Storage, begin = 0, group = GROUP): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  for (;;) {
    const from = logIndex(begin + records.length + 1);
    const part = await storage.group(group).read(from, END, 4096);
    if (part.length === 0) return records;
    records.push(...part);
  }
}

/** A log of 101 records over several segments, committed up to 90, with a change of members at record 43. */
async function fill({ storage }: StorageUnderTest): Promise<RecordChain> {
  const chain = new RecordChain();
  for (let write = 0; write < 50; write++) {
    await storage.persist(append(chain.addMany(2, { bytes: 400, events: 2, term: 1 + Math.floor(write / 20) })));
    if (write === 20) await storage.persist(append([chain.add({ membership: membershipOf(1, 2, 3) })]));
  }
  await commit(storage, chain, 90);
  return chain;
}

/** As a replica does it: what is committed is applied, and the state is stored wherever a checkpoint is due. */
async function commit(storage: Storage, chain: RecordChain, index: number): Promise<void> {
  const log = storage.group(GROUP);
  log.noteCommitted(logIndex(index));
  for (
    let due = log.checkpointDue(logIndex(0));
    due !== undefined && due <= index;
    due = log.checkpointDue(logIndex(due + 1))
  )
    await storage.persist([
      { group: GROUP, records: [], checkpoint: { index: due, state: stateAfter(chain.records.slice(0, due)) } },
    ]);
}

const cutThrough = (index: LogIndex): PersistRequest[] => [{ group: GROUP, records: [], cutThrough: index }];

/** A later history, which begins behind record 200. */
function laterLog(): { snapshot: Checkpoint; chain: RecordChain; request: PersistRequest } {
  const others = new RecordChain();
  others.addMany(200, { term: 7, events: 3 });
  const before = others.tail;
  const chain = new RecordChain(before);
  chain.addMany(3, { term: 7 });
  const state = stateAfter(others.records);
  const snapshot = {
    incarnation: INCARNATION,
    before,
    membership: membershipOf(1, 2, 3),
    membershipIndex: logIndex(199),
    state,
  };
  return {
    snapshot,
    chain,
    request: { group: GROUP, snapshot, records: chain.records, hardState: { term: term(7), vote: undefined } },
  };
}

for (const implementation of STORAGES) {
  describe(implementation.name, () => {
    test('what persist was asked for is there once it resolves, and after reopening', async (t) => {
      const opened = await implementation.open(t);
      const chain = new RecordChain();
      chain.add({ kind: 'no-op', term: 3 });
      chain.addMany(10, { events: 5 });
      chain.add({ membership: membershipOf(1, 2) });
      chain.addMany(2, { term: 4 });
      await opened.storage.persist([
        { group: GROUP, records: chain.records, hardState: { term: term(5), vote: actorId(1) } },
      ]);
      assert.deepEqual(checksums(await readAll(opened.storage)), checksums(chain.records));
      const { storage } = await opened.reopen();
      const { recovered } = storage.group(GROUP);
      assert.deepEqual(recovered.hardState, { term: 5, vote: 1 });
      assert.deepEqual(recovered.tail, chain.tail);
      assert.equal(recovered.begin.index, 0);
      assert.equal(recovered.incarnation, INCARNATION);
      assert.deepEqual(recovered.termStarts, [
        { term: 3, index: 1 },
        { term: 4, index: 13 },
      ]);
      assert.deepEqual(recovered.memberships, [
        { index: 0, membership: membershipOf(1) },
        { index: 12, membership: membershipOf(1, 2) },
      ]);
      const records = await readAll(storage);
      assert.deepEqual(checksums(records), checksums(chain.records));
      assert.deepEqual(Buffer.from(records[4]?.payload ?? []), chain.records[4]?.payload);
    });

    test('persist takes an empty request, and a vote alone', async (t) => {
      const opened = await implementation.open(t);
      await opened.storage.persist([]);
      await opened.storage.persist([{ group: GROUP, records: [] }]);
      await opened.storage.persist([{ group: GROUP, records: [], hardState: { term: term(9), vote: actorId(7) } }]);
      const { recovered } = (await opened.reopen()).storage.group(GROUP);
      assert.deepEqual([recovered.hardState, recovered.tail.index], [{ term: 9, vote: 7 }, 0]);
    });

    test('calls of persist are carried out in order, also where they truncate one another', async (t) => {
      const { storage } = await implementation.open(t);
      const chain = new RecordChain();
      const ended: number[] = [];
      const calls = [storage.persist(append(chain.addMany(5, { term: 1 })))];
      for (let call = 0; call < 20; call++) {
        const keep = chain.records.length - 1 - (call % 4);
        chain.truncate(keep);
        calls.push(storage.persist(append(chain.addMany(1 + (call % 5), { term: 2 + call }), keep)));
      }
      await Promise.all(calls.map((call, position) => call.then(() => ended.push(position))));
      assert.deepEqual(ended, [...calls.keys()]);
      assert.deepEqual(checksums(await readAll(storage)), checksums(chain.records));
    });

    test('several groups in one call of persist are kept apart', async (t) => {
      const opened = await implementation.open(t);
      const chains = GROUPS.map(() => new RecordChain());
      const hardState = { term: term(1), vote: actorId(1) };
      await opened.storage.persist(
        GROUPS.map((group, position) => ({ group, records: chains[position]?.addMany(2 + position) ?? [], hardState })),
      );
      const { storage } = await opened.reopen();
      for (const [position, group] of GROUPS.entries())
        assert.deepEqual(checksums(await readAll(storage, 0, group)), checksums(chains[position]?.records ?? []));
    });

    test('a truncation may go over many records, to nothing, and without new ones', async (t) => {
      let opened = await implementation.open(t);
      const chain = new RecordChain();
      for (let write = 0; write < 40; write++)
        await opened.storage.persist(append(chain.addMany(2, { term: 1, bytes: 500 })));
      for (const [step, keep] of [70, 41, 40, 17, 3, 0].entries()) {
        chain.truncate(keep);
        const added = step % 2 === 0 ? [] : chain.addMany(2, { term: 2 + step, bytes: 500 });
        await opened.storage.persist(append(added, keep));
        assert.deepEqual(
          checksums(await readAll(opened.storage)),
          checksums(chain.records),
          `after truncating to ${keep}`,
        );
        opened = await opened.reopen();
        assert.deepEqual(opened.storage.group(GROUP).recovered.tail, chain.tail);
        assert.deepEqual(
          checksums(await readAll(opened.storage)),
          checksums(chain.records),
          `reopened after truncating to ${keep}`,
        );
      }
    });

    test('a truncation takes back the members that were set in what it removes', async (t) => {
      const opened = await implementation.open(t);
      const chain = new RecordChain();
      chain.addMany(3);
      chain.add({ membership: membershipOf(1, 2) });
      await opened.storage.persist(append(chain.records));
      await opened.storage.persist(append([], 3));
      const { memberships } = (await opened.reopen()).storage.group(GROUP).recovered;
      assert.deepEqual(memberships, [{ index: 0, membership: membershipOf(1) }]);
    });

    test('a broken invariant fails the call, and every one after it', async (t) => {
      const broken: readonly (readonly [string, (chain: RecordChain) => PersistRequest[]])[] = [
        ['a record that does not follow', (chain) => append(chain.addMany(2).slice(1))],
        ['a later term than the hard state', (chain) => [{ group: GROUP, records: [chain.add({ term: 8 })] }]],
        ['what is committed is truncated', () => append([], 89)],
        [
          'a snapshot of what is committed',
          (chain) => [{ ...laterLog().request, snapshot: { ...laterLog().snapshot, before: tailAt(chain, 90) } }],
        ],
        [
          'a snapshot of another incarnation',
          () => [{ ...laterLog().request, snapshot: { ...laterLog().snapshot, incarnation: 'f'.repeat(32) } }],
        ],
        ['what is not committed is given up', (chain) => cutThrough(chain.tail.index)],
      ];
      for (const [what, requests] of broken) {
        const opened = await implementation.open(t);
        const chain = await fill(opened);
        const { tail } = chain;
        await assert.rejects(opened.storage.persist(requests(chain)), what);
        await assert.rejects(
          opened.storage.persist([{ group: GROUP, records: [new RecordChain(tail).add()] }]),
          `after ${what}`,
        );
      }
    });

    test('the first failed write is the last, for all calls that wait and all that follow', async (t) => {
      const { storage, breakDisk } = await implementation.open(t);
      const chain = new RecordChain();
      await storage.persist(append(chain.addMany(3)));
      breakDisk();
      const calls = [1, 2, 3].map(() => storage.persist(append(chain.addMany(1))));
      const outcomes = await Promise.allSettled(calls);
      const reasons = new Set(outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason : 'kept')));
      assert.equal(reasons.size, 1);
      const [first] = reasons;
      assert.notEqual(first, 'kept');
      const later = await storage.persist([{ group: GROUP, records: [] }]).catch((error: unknown) => error);
      assert.equal(later, first);
    });

    test('a read gives the records from one index through another, as many as fit, at least one', async (t) => {
      const { storage } = await implementation.open(t);
      const chain = new RecordChain();
      await storage.persist(append(chain.addMany(20, { bytes: 1000 - RECORD_HEADER_BYTES })));
      const read = async (from: number, to: number, maxBytes: number): Promise<number[]> =>
        (await storage.group(GROUP).read(logIndex(from), logIndex(to), maxBytes)).map(({ index }) => index);
      assert.deepEqual(await read(3, 20, 1), [3]);
      assert.deepEqual(await read(3, 20, 1000), [3]);
      assert.deepEqual(await read(3, 20, 2999), [3, 4]);
      assert.deepEqual(await read(3, 20, 3000), [3, 4, 5]);
      assert.deepEqual(await read(18, 20, 100_000), [18, 19, 20]);
      assert.deepEqual(await read(5, 5, 100_000), [5]);
      assert.deepEqual(await read(21, 30, 100_000), [], 'nothing is there: it may have been truncated meanwhile');
    });

    test('indexOfCounter is the record that holds the counter, and no other', async (t) => {
      let opened = await implementation.open(t);
      const chain = new RecordChain();
      let persisted = 0;
      for (let write = 0; write < 60; write++) {
        const termNow = 1 + Math.floor(write / 10);
        if (write % 10 === 0) chain.add({ kind: 'no-op', term: termNow });
        if (write % 7 === 0) chain.add({ term: termNow, membership: membershipOf(1, 2) });
        chain.addMany(2, { term: termNow, events: 1 + (write % 4), bytes: 40 * (write % 30) });
        await opened.storage.persist(append(chain.records.slice(persisted)));
        persisted = chain.records.length;
      }
      for (const round of ['written', 'reopened']) {
        const log = opened.storage.group(GROUP);
        for (const record of chain.records) {
          for (let event = 0; event < record.eventCount; event++)
            assert.equal(await log.indexOfCounter(counter(record.firstCounter + event)), record.index, round);
        }
        assert.equal(await log.indexOfCounter(chain.tail.nextCounter), undefined);
        assert.equal(await log.indexOfCounter(counter(0)), undefined);
        opened = await opened.reopen();
      }
    });

    test('indexOfTime is the first record of that log time or later, whatever the clocks did', async (t) => {
      let opened = await implementation.open(t);
      assert.equal(
        await opened.storage.group(GROUP).indexOfTime(timeBound([], 0, logIndex(0))),
        undefined,
        'an empty log has none',
      );
      const chain = new RecordChain();
      let persisted = 0;
      for (let write = 0; write < 60; write++) {
        const termNow = 1 + Math.floor(write / 10);
        // Each leader's clock is behind that of the one before it.
        if (write % 10 === 0) chain.add({ kind: 'no-op', term: termNow });
        chain.add({ term: termNow, timestampMs: 1000 + 10 * write - 35 * termNow, bytes: 40 * (write % 30) });
        await opened.storage.persist(append(chain.records.slice(persisted)));
        persisted = chain.records.length;
      }
      const assertFound = async (begin: number): Promise<void> => {
        const records = chain.records.filter(({ index }) => index > begin);
        const log = opened.storage.group(GROUP);
        for (let time = 900; time <= 1600; time += 3)
          assert.equal(
            await log.indexOfTime(timeBound([], time, logIndex(0))),
            records.find(({ timeMs }) => timeMs >= time)?.index,
            `time ${time}`,
          );
      };
      await assertFound(0);
      opened = await opened.reopen();
      await assertFound(0);
      await commit(opened.storage, chain, 40);
      const point = opened.storage.group(GROUP).cutPoint(logIndex(40));
      assert.ok(point > 0, 'a segment begins there');
      await opened.storage.persist(cutThrough(point));
      await assertFound(point);
      opened = await opened.reopen();
      await assertFound(point);
    });

    test('what noteCommitted was told is known after reopening, and never leads the log', async (t) => {
      let opened = await implementation.open(t);
      const chain = new RecordChain();
      await opened.storage.persist(append(chain.addMany(9)));
      opened.storage.group(GROUP).noteCommitted(logIndex(5));
      opened.storage.group(GROUP).noteCommitted(logIndex(4));
      opened = await opened.reopen();
      assert.equal(opened.storage.group(GROUP).recovered.commitIndex, 5);
      opened.storage.group(GROUP).noteCommitted(logIndex(9));
      await opened.storage.persist(append(chain.addMany(1)));
      assert.equal((await opened.reopen()).storage.group(GROUP).recovered.commitIndex, 9);
    });

    test('the log can begin at a cut point, and its checkpoint is all that it builds on', async (t) => {
      const opened = await implementation.open(t);
      const chain = await fill(opened);
      const log = opened.storage.group(GROUP);
      for (let index = 0; index <= chain.tail.index; index += 10) {
        const point = log.cutPoint(logIndex(index));
        assert.ok(point <= index);
        assert.equal(log.cutPoint(point), point, 'it is one itself');
        await assertCheckpoint(log, chain, point);
      }
      const point = log.cutPoint(logIndex(90));
      assert.ok(point > 43, 'there is one behind the change of members');
      await opened.storage.persist(cutThrough(point));
      for (const index of [0, 10, point]) assert.equal(log.cutPoint(logIndex(index)), point, 'none before the begin');
      await assertCheckpoint(log, chain, point);
    });

    test('what is cut is gone, and the log goes on', async (t) => {
      const opened = await implementation.open(t);
      const chain = await fill(opened);
      const log = opened.storage.group(GROUP);
      const point = log.cutPoint(logIndex(60));
      await opened.storage.persist(cutThrough(point));
      await assertRemoved(log, 1);
      await assertRemoved(log, point);
      assert.equal((await log.read(logIndex(point + 1), logIndex(point + 1), 1))[0]?.index, point + 1);
      await opened.storage.persist(append(chain.addMany(2)));
      // Once more, at the same place and before it: nothing happens.
      await opened.storage.persist(cutThrough(point));
      const { storage } = await opened.reopen();
      const { recovered } = storage.group(GROUP);
      assert.deepEqual(recovered.begin, tailAt(chain, point));
      assert.deepEqual(recovered.tail, chain.tail);
      assert.deepEqual(recovered.memberships.at(-1), { index: 43, membership: membershipOf(1, 2, 3) });
      assert.ok(recovered.termStarts.every(({ index }) => index > point));
      assert.ok(recovered.commitIndex >= 90);
      assert.deepEqual(checksums(await readAll(storage, point)), checksums(chain.records.slice(point)));
      await assertRemoved(storage.group(GROUP), point);
      await assertCheckpoint(storage.group(GROUP), chain, point);
    });

    test('a snapshot takes the place of the log, and the records of the same request follow it', async (t) => {
      const opened = await implementation.open(t);
      await fill(opened);
      const { snapshot, chain, request } = laterLog();
      await opened.storage.persist([request]);
      const log = opened.storage.group(GROUP);
      assert.deepEqual(await log.checkpointAt(snapshot.before.index), snapshot);
      assert.equal(log.cutPoint(logIndex(200)), 200);
      await assertRemoved(log, 90);
      await assertRemoved(log, 200);
      assert.equal(await log.indexOfCounter(counter(5)), undefined);
      assert.equal(await log.indexOfCounter(snapshot.before.nextCounter), 201);
      await opened.storage.persist(append(chain.addMany(40, { bytes: 400 })));
      const { storage } = await opened.reopen();
      const { recovered } = storage.group(GROUP);
      assert.deepEqual(recovered.begin, snapshot.before);
      assert.deepEqual(recovered.tail, chain.tail);
      assert.deepEqual(recovered.memberships, [{ index: 199, membership: membershipOf(1, 2, 3) }]);
      assert.ok(recovered.commitIndex >= 200, 'a snapshot is of what is committed');
      assert.deepEqual(checksums(await readAll(storage, 200)), checksums(chain.records));
      assert.deepEqual(await storage.group(GROUP).checkpointAt(logIndex(200)), snapshot);
    });

    test('one request truncates, then appends, then cuts', async (t) => {
      const opened = await implementation.open(t);
      const chain = await fill(opened);
      const point = opened.storage.group(GROUP).cutPoint(logIndex(60));
      chain.truncate(95);
      const records = chain.addMany(3, { term: 6 });
      const hardState = { term: term(6), vote: undefined };
      await opened.storage.persist([
        { group: GROUP, records, hardState, truncateAfter: logIndex(95), cutThrough: point },
      ]);
      const { storage } = await opened.reopen();
      assert.equal(storage.group(GROUP).recovered.begin.index, point);
      assert.deepEqual(checksums(await readAll(storage, point)), checksums(chain.records.slice(point)));
    });
  });
}

function tailAt(chain: RecordChain, index: number): ReturnType<typeof tailAfter> {
  return tailAfter(chain.records[index - 1] ?? assert.fail(`there is a record ${index}`));
}

async function assertCheckpoint(log: GroupLog, chain: RecordChain, index: LogIndex): Promise<void> {
  const { incarnation, before, membership, membershipIndex } = await log.checkpointAt(index);
  assert.equal(incarnation, INCARNATION);
  if (index > 0) assert.deepEqual(before, tailAt(chain, index));
  const [at, voters] = index >= 43 ? [43, 3] : [0, 1];
  assert.deepEqual([membershipIndex, membership.voters.length], [at, voters]);
}

async function assertRemoved(log: GroupLog, index: number): Promise<void> {
  await assert.rejects(log.read(logIndex(index), logIndex(index), 1), (error) => {
    return error instanceof FlotillaError && error.code === 'POSITION_REMOVED';
  });
}
