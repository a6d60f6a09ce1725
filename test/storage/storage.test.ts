import assert from 'node:assert/strict';
import { readdir, rename } from 'node:fs/promises';
import { test } from 'node:test';
import { actorId, counter, FlotillaError, groupId, logIndex, term } from '../../src/base/index.js';
import type { GroupLog } from '../../src/replica/index.js';
import type { LevelStorage } from '../../src/storage/index.js';
import { RECORD_HEADER_BYTES } from '../../src/wire/index.js';
import {
  append,
  checksums,
  GROUP,
  INCARNATION,
  membershipOf,
  newNode,
  openNode,
  RecordChain,
  readAll,
  scratchDirectory,
  segmentsPath,
} from './fixture.js';

const KiB = 1024;

test('persist_readBackAfterReopen', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  const chain = new RecordChain();
  chain.add({ kind: 'no-op', term: 3 });
  chain.addMany(10, { events: 5 });
  await node.storage.persist([{ group: GROUP, records: chain.records, hardState: { term: term(3), vote: actorId(1) } }]);
  assert.deepEqual(checksums(await readAll(node.storage)), checksums(chain.records));
  node.storage.group(GROUP).noteCommitted(logIndex(7));
  await node.close();

  const again = await openNode(t, dir);
  const { recovered } = again.storage.group(GROUP);
  assert.deepEqual(recovered.hardState, { term: 3, vote: 1 });
  assert.deepEqual(recovered.tail, chain.tail);
  assert.equal(recovered.commitIndex, 7);
  assert.equal(recovered.incarnation, INCARNATION);
  assert.deepEqual(recovered.termStarts, [{ term: 3, index: 1 }]);
  assert.deepEqual(recovered.memberships, [{ index: 0, membership: membershipOf(1) }]);
  const records = await readAll(again.storage);
  assert.deepEqual(checksums(records), checksums(chain.records));
  assert.deepEqual(Buffer.from(records[4]?.payload ?? []), chain.records[4]?.payload);
});

test('roll_segmentsContinueOneAnother', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, 8 * KiB);
  const chain = new RecordChain();
  for (let term = 1; term <= 8; term++) {
    if (term === 4) await node.storage.persist(append([chain.add({ term, membership: membershipOf(1, 2, 3) })]));
    for (let write = 0; write < 6; write++) await node.storage.persist(append(chain.addMany(3, { term, bytes: 300 })));
  }
  assert.deepEqual(checksums(await readAll(node.storage, 5000)), checksums(chain.records));
  await node.close();
  assert.ok((await readdir(segmentsPath(dir))).length >= 6, 'the log has rolled');

  const { storage } = await openNode(t, dir, 8 * KiB);
  const { recovered } = storage.group(GROUP);
  assert.deepEqual(
    recovered.termStarts,
    [1, 2, 3, 4, 5, 6, 7, 8].map((term) => ({ term, index: chain.records.find((record) => record.term === term)?.index })),
  );
  assert.deepEqual(
    recovered.memberships.map(({ index }) => index),
    [0, 55],
  );
  assert.deepEqual(checksums(await readAll(storage)), checksums(chain.records));
});

test('truncate_overSeveralSegmentsThenReopen', async (t) => {
  const dir = await scratchDirectory(t);
  let node = await newNode(t, dir, 8 * KiB);
  const chain = new RecordChain();
  for (let write = 0; write < 40; write++) await node.storage.persist(append(chain.addMany(2, { term: 1, bytes: 500 })));
  // The last one leaves nothing of the log.
  for (const [step, keep] of [70, 41, 40, 17, 3, 0].entries()) {
    chain.truncate(keep);
    await node.storage.persist(append(chain.addMany(2, { term: 2 + step, bytes: 500 }), keep));
    assert.deepEqual(checksums(await readAll(node.storage)), checksums(chain.records), `after truncating to ${keep}`);
    await node.close();
    node = await openNode(t, dir, 8 * KiB);
    assert.deepEqual(node.storage.group(GROUP).recovered.tail, chain.tail);
    assert.deepEqual(checksums(await readAll(node.storage)), checksums(chain.records), `reopened after truncating to ${keep}`);
  }
});

test('truncate_withoutNewRecords', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  const chain = new RecordChain();
  await node.storage.persist(append(chain.addMany(9)));
  chain.truncate(4);
  await node.storage.persist(append([], 4));
  assert.deepEqual(checksums(await readAll(node.storage)), checksums(chain.records));
  await node.close();
  const again = await openNode(t, dir);
  assert.deepEqual(again.storage.group(GROUP).recovered.tail, chain.tail);
});

test('truncate_committedRecordIsABrokenInvariant', async (t) => {
  const node = await newNode(t, await scratchDirectory(t));
  const chain = new RecordChain();
  await node.storage.persist(append(chain.addMany(9)));
  node.storage.group(GROUP).noteCommitted(logIndex(5));
  await assert.rejects(node.storage.persist(append([], 4)), /record 5 is committed/);
  assert.equal(node.failures.length, 1);
});

test('segmentSequence_isNeverUsedAgain', async (t) => {
  const dir = await scratchDirectory(t);
  let node = await newNode(t, dir, 8 * KiB);
  const chain = new RecordChain();
  const used = new Set<string>();
  for (let round = 0; round < 3; round++) {
    const before = await readdir(segmentsPath(dir));
    for (let write = 0; write < 8; write++) await node.storage.persist(append(chain.addMany(4, { term: round + 1, bytes: 600 })));
    const names = (await readdir(segmentsPath(dir))).filter((name) => !before.includes(name));
    for (const name of names) assert.ok(!used.has(name), `${name} is new`);
    for (const name of names) used.add(name);
    chain.truncate(1);
    await node.storage.persist(append([], 1));
    await node.close();
    node = await openNode(t, dir, 8 * KiB);
  }
  assert.ok(used.size >= 5, `only ${used.size} new segments: this showed nothing`);
});

test('read_asManyAsFitAtLeastOne', async (t) => {
  const node = await newNode(t, await scratchDirectory(t));
  const chain = new RecordChain();
  await node.storage.persist(append(chain.addMany(20, { bytes: 1000 - RECORD_HEADER_BYTES })));
  const log = node.storage.group(GROUP);
  const read = async (from: number, to: number, maxBytes: number): Promise<number[]> =>
    (await log.read(logIndex(from), logIndex(to), maxBytes)).map(({ index }) => index);
  assert.deepEqual(await read(3, 20, 1), [3]);
  assert.deepEqual(await read(3, 20, 1000), [3]);
  assert.deepEqual(await read(3, 20, 2999), [3, 4]);
  assert.deepEqual(await read(3, 20, 3000), [3, 4, 5]);
  assert.deepEqual(await read(18, 20, 100_000), [18, 19, 20]);
  assert.deepEqual(await read(5, 5, 100_000), [5]);
  assert.deepEqual(await read(21, 30, 100_000), [], 'nothing is there: it may have been truncated meanwhile');
});

test('indexOfTime_findsTheFirstRecordOfThatLogTimeOrLater_whateverTheClocksDid', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, 16 * KiB);
  const chain = new RecordChain();
  let persisted = 0;
  for (let write = 0; write < 60; write++) {
    const term = 1 + Math.floor(write / 10);
    // Each leader's clock is behind that of the one before it.
    if (write % 10 === 0) chain.add({ kind: 'no-op', term });
    chain.add({ term, timestampMs: 1000 + 10 * write - 35 * term, bytes: 40 * (write % 30) });
    await node.storage.persist(append(chain.records.slice(persisted)));
    persisted = chain.records.length;
  }
  const find = async (log: GroupLog, begin = 0): Promise<void> => {
    const records = chain.records.filter(({ index }) => index > begin);
    for (let time = 900; time <= 1600; time++) {
      assert.equal(await log.indexOfTime(time), records.find(({ timeMs }) => timeMs >= time)?.index, `time ${time}`);
    }
  };
  const times = chain.records.map(({ timeMs }) => timeMs);
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
    'log time never goes back',
  );
  await find(node.storage.group(GROUP));
  node.storage.group(GROUP).noteCommitted(logIndex(40));
  await node.close();
  const again = await openNode(t, dir, 16 * KiB);
  const log = again.storage.group(GROUP);
  await find(log);
  const cutThrough = log.cutPoint(logIndex(40));
  await again.storage.persist([{ group: GROUP, records: [], cutThrough }]);
  assert.ok(cutThrough > 0);
  await find(log, cutThrough);
  await again.close();
  await find((await openNode(t, dir, 16 * KiB)).storage.group(GROUP), cutThrough);
});

test('indexOfTime_ofAnEmptyLog_isNone', async (t) => {
  const node = await newNode(t, await scratchDirectory(t));
  assert.equal(await node.storage.group(GROUP).indexOfTime(0), undefined);
});

test('indexOfCounter_findsTheRecordThatHoldsIt', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, 16 * KiB);
  const chain = new RecordChain();
  let persisted = 0;
  for (let write = 0; write < 60; write++) {
    const term = 1 + Math.floor(write / 10);
    if (write % 10 === 0) chain.add({ kind: 'no-op', term });
    if (write % 7 === 0) chain.add({ term, membership: membershipOf(1, 2) });
    chain.addMany(2, { term, events: 1 + (write % 4), bytes: 40 * (write % 30) });
    await node.storage.persist(append(chain.records.slice(persisted)));
    persisted = chain.records.length;
  }
  const find = async (storage: LevelStorage): Promise<void> => {
    const log = storage.group(GROUP);
    for (const record of chain.records) {
      for (let event = 0; event < record.eventCount; event++) {
        assert.equal(await log.indexOfCounter(counter(record.firstCounter + event)), record.index);
      }
    }
    assert.equal(await log.indexOfCounter(chain.tail.nextCounter), undefined);
    assert.equal(await log.indexOfCounter(counter(0)), undefined);
  };
  await find(node.storage);
  await node.close();
  await find((await openNode(t, dir, 16 * KiB)).storage);
});

test('persist_waitingCallsShareAWriteAndEachIsDurable', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, 32 * KiB);
  const chain = new RecordChain();
  const order: number[] = [];
  await Promise.all(chain.addMany(500).map((record) => node.storage.persist(append([record])).then(() => order.push(record.index))));
  assert.deepEqual(
    order,
    chain.records.map(({ index }) => index),
  );
  await node.close();
  const again = await openNode(t, dir);
  assert.deepEqual(checksums(await readAll(again.storage)), checksums(chain.records));
});

test('persist_waitingCallsThatTruncateOneAnother', async (t) => {
  const node = await newNode(t, await scratchDirectory(t));
  const chain = new RecordChain();
  const calls = [node.storage.persist(append(chain.addMany(5, { term: 1 })))];
  for (let call = 0; call < 20; call++) {
    const keep = chain.records.length - 1 - (call % 4);
    chain.truncate(keep);
    calls.push(node.storage.persist(append(chain.addMany(1 + (call % 5), { term: 2 + call }), keep)));
  }
  await Promise.all(calls);
  assert.deepEqual(checksums(await readAll(node.storage)), checksums(chain.records));
});

test('persist_severalGroupsInOneCall', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  await node.storage.createGroup({ group: groupId(7), incarnation: 'f'.repeat(32), membership: membershipOf(1) });
  const [first, second] = [new RecordChain(), new RecordChain()];
  const hardState = { term: term(1), vote: actorId(1) };
  await node.storage.persist([
    { group: GROUP, records: first.addMany(2), hardState },
    { group: groupId(7), records: second.addMany(3), hardState },
  ]);
  await node.close();
  const again = await openNode(t, dir);
  assert.deepEqual(again.storage.groups(), [1, 7]);
  assert.deepEqual(again.storage.group(GROUP).recovered.tail, first.tail);
  assert.deepEqual(again.storage.group(groupId(7)).recovered.tail, second.tail);
  assert.throws(() => again.storage.group(groupId(8)), { code: 'NOT_FOUND' });
  await assert.rejects(again.storage.persist([{ group: groupId(8), records: [] }]), { code: 'NOT_FOUND' });
  assert.equal(again.failures.length, 0);
});

test('persist_recordThatDoesNotFollowIsABrokenInvariant', async (t) => {
  const node = await newNode(t, await scratchDirectory(t));
  const chain = new RecordChain();
  chain.addMany(3);
  await node.storage.persist(append(chain.records));
  const gap = chain.addMany(2)[1];
  assert.ok(gap !== undefined);
  await assert.rejects(node.storage.persist(append([gap])), /does not follow/);
});

test('persist_recordOfALaterTermThanTheHardStateIsABrokenInvariant', async (t) => {
  const node = await newNode(t, await scratchDirectory(t));
  const chain = new RecordChain();
  await assert.rejects(node.storage.persist([{ group: GROUP, records: [chain.add({ term: 2 })] }]), /later term/);
});

test('failure_firstFailedWriteEndsEverything', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, 4 * KiB);
  const chain = new RecordChain();
  await node.storage.persist(append(chain.addMany(1)));
  // The next segment can't be made any more.
  await rename(segmentsPath(dir), `${segmentsPath(dir)}-gone`);
  let failed: unknown;
  while (failed === undefined)
    await node.storage.persist(append(chain.addMany(1, { bytes: 1000 }))).catch((error: unknown) => (failed = error));
  assert.ok(failed instanceof FlotillaError);
  const later = await node.storage.persist(append(chain.addMany(1))).catch((error: unknown) => error);
  assert.equal(later, failed, 'every later call fails with the same error');
  assert.deepEqual(node.failures, [failed], 'onFailure is called once');
});

test('createGroup_leftByAnInterruptedFormationIsReplaced', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await openNode(t, dir);
  await node.storage.createGroup({ group: GROUP, incarnation: 'a'.repeat(32), membership: membershipOf(1) });
  await node.close();
  const again = await openNode(t, dir);
  const log = await again.storage.createGroup({ group: GROUP, incarnation: 'b'.repeat(32), membership: membershipOf(1, 2) });
  assert.equal(log.recovered.incarnation, 'b'.repeat(32));
  await again.directory.joinCluster('d'.repeat(32));
  await assert.rejects(
    again.storage.createGroup({ group: GROUP, incarnation: 'c'.repeat(32), membership: membershipOf(1) }),
    /exists already/,
  );
});

test('close_finishesWhatWasAskedFor', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  const chain = new RecordChain();
  const written = node.storage.persist(append(chain.addMany(5)));
  await node.close();
  await written;
  await assert.rejects(node.storage.persist(append(chain.addMany(1))), { code: 'SHUTTING_DOWN' });
});
