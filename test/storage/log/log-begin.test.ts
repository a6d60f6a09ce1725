/** Where a log begins: cut at its front, or replaced by a snapshot. */
import assert from 'node:assert/strict';
import { copyFile, readdir } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { logIndex, term } from '../../../src/base/index.js';
import type { PersistRequest } from '../../../src/group/index.js';
import type { LevelStorage } from '../../../src/storage/index.js';
import { type Checkpoint, type LogTail, tailAfter } from '../../../src/wire/index.js';
import { until } from '../../support/until.js';
import { FailingDisk } from '../failing-disk.js';
import {
  append,
  checksums,
  copyOf,
  GROUP,
  INCARNATION,
  membershipOf,
  newNode,
  openNode,
  RecordChain,
  readAll,
  scratchDirectory,
  segmentsPath,
  stateAfter,
} from '../fixture.js';

const SEGMENT_BYTES = 8 * 1024;
const cutThrough = (index: number): PersistRequest[] => [{ group: GROUP, records: [], cutThrough: logIndex(index) }];

/** A closed node whose log of 100 records fills several segments. */
async function filledNode(t: TestContext): Promise<{ dir: string; chain: RecordChain; cutPoint: number }> {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, SEGMENT_BYTES);
  const chain = new RecordChain();
  for (let write = 0; write < 50; write++) {
    await node.storage.persist(append(chain.addMany(2, { bytes: 400 })));
    if (write === 20) await node.storage.persist(append([chain.add({ membership: membershipOf(1, 2, 3) })]));
  }
  const log = node.storage.group(GROUP);
  log.noteCommitted(logIndex(90));
  await node.storage.persist(append([chain.add()]));
  await node.close();
  // A start makes the checkpoints that are missing of what is committed.
  const again = await openNode(t, dir, SEGMENT_BYTES);
  const cutPoint = again.storage.group(GROUP).cutPoint(logIndex(60));
  assert.ok(cutPoint > 45 && cutPoint <= 60, `${cutPoint}`);
  await again.close();
  return { dir, chain, cutPoint };
}

function snapshotAt(before: LogTail, state: Uint8Array): Checkpoint {
  return {
    incarnation: INCARNATION,
    before,
    membership: membershipOf(1, 2, 3),
    membershipIndex: logIndex(before.index - 1),
    state,
  };
}

/** Another history, up to its record 200, and the log that builds on that. */
function laterHistory(): { snapshot: Checkpoint; chain: RecordChain } {
  const others = new RecordChain();
  others.addMany(200, { term: 7, events: 3 });
  const before = others.tail;
  const chain = new RecordChain(before);
  chain.addMany(3, { term: 7 });
  return { snapshot: snapshotAt(before, stateAfter(others.records)), chain };
}

const install = (snapshot: Checkpoint, chain: RecordChain): PersistRequest[] => [
  { group: GROUP, snapshot, records: chain.records, hardState: { term: term(7), vote: undefined } },
];

async function assertHolds(storage: LevelStorage, chain: RecordChain, begin: number): Promise<void> {
  const { recovered } = storage.group(GROUP);
  assert.equal(recovered.begin.index, begin);
  assert.deepEqual(checksums(await readAll(storage)), checksums(chain.records.filter(({ index }) => index > begin)));
}

test('a cut gives up whole segments, and the log goes on after a restart', async (t) => {
  const { dir, chain, cutPoint } = await filledNode(t);
  const node = await openNode(t, dir, SEGMENT_BYTES);
  const before = (await readdir(segmentsPath(dir))).length;
  await node.storage.persist(cutThrough(cutPoint));
  const log = node.storage.group(GROUP);
  await assert.rejects(log.read(logIndex(cutPoint), logIndex(cutPoint), 1), { code: 'POSITION_REMOVED' });
  assert.equal((await log.read(logIndex(cutPoint + 1), logIndex(cutPoint + 1), 1))[0]?.index, cutPoint + 1);
  await until('the segments are gone from the disk', async () => (await readdir(segmentsPath(dir))).length < before);
  const { membership, before: stands } = await log.checkpointAt(logIndex(cutPoint));
  assert.deepEqual(stands, tailAfter(chain.records[cutPoint - 1] ?? assert.fail('the record was written')));
  assert.deepEqual(membership.voters, [1, 2, 3]);
  await node.storage.persist(append(chain.addMany(2)));
  await node.close();
  const again = await openNode(t, dir, SEGMENT_BYTES);
  await assertHolds(again.storage, chain, cutPoint);
  assert.deepEqual(
    again.storage.group(GROUP).recovered.memberships.map(({ membership: { voters } }) => voters.length),
    [3],
  );
});

test('a cut that is interrupted anywhere leaves a log that begins at one of the two places', async (t) => {
  const { dir, chain, cutPoint } = await filledNode(t);
  const begins = await interruptedAnywhere(t, dir, cutThrough(cutPoint), async (storage) => {
    const begin = storage.group(GROUP).recovered.begin.index;
    await assertHolds(storage, chain, begin);
    return begin;
  });
  assert.deepEqual([...new Set(begins)], [0, cutPoint]);
});

test('a snapshot that is interrupted anywhere leaves the old log or the new', async (t) => {
  const { dir, chain } = await filledNode(t);
  const later = laterHistory();
  const begins = await interruptedAnywhere(t, dir, install(later.snapshot, later.chain), async (storage) => {
    const { begin, tail } = storage.group(GROUP).recovered;
    if (begin.index === 0) {
      await assertHolds(storage, chain, 0);
    } else {
      assert.equal(begin.index, 200);
      // The records that came with it may be missing: they were not acknowledged.
      assert.ok(tail.index === 200 || tail.index === 203, `${tail.index}`);
    }
    return begin.index;
  });
  assert.deepEqual([...new Set(begins)], [0, 200]);
});

test('the marker of another log removes nothing', async (t) => {
  const { dir } = await filledNode(t);
  const other = await filledNode(t);
  const node = await openNode(t, other.dir, SEGMENT_BYTES);
  await node.storage.persist(install(laterHistory().snapshot, laterHistory().chain));
  await node.close();
  await copyFile(`${segmentsPath(other.dir)}/../marker`, `${segmentsPath(dir)}/../marker`);
  const before = await readdir(segmentsPath(dir));
  await assert.rejects(openNode(t, dir, SEGMENT_BYTES), { code: 'DATA_LOSS' });
  assert.deepEqual(await readdir(segmentsPath(dir)), before);
});

/**
 * Carries out a write on copies, and lets the process end after each of the changes that it makes to the disk. What
 * `found` says of each.
 */
async function interruptedAnywhere<Found>(
  t: TestContext,
  dir: string,
  write: PersistRequest[],
  found: (storage: LevelStorage) => Promise<Found>,
): Promise<Found[]> {
  const all: Found[] = [];
  for (let changes = 0; ; changes++) {
    const copy = await copyOf(t, dir);
    const disk = new FailingDisk(Number.POSITIVE_INFINITY);
    const node = await openNode(undefined, copy, SEGMENT_BYTES, disk);
    disk.changesLeft = changes;
    const ended = await node.storage.persist(write).then(
      () => false,
      () => true,
    );
    await node.close().catch((error: unknown) => assert.match(String(error), /the process has ended/));
    // What it leaves open stays locked in this process: what it left is looked at elsewhere.
    const left = await copyOf(t, copy);
    const again = await openNode(t, left, SEGMENT_BYTES);
    all.push(await found(again.storage));
    await again.close();
    // A start after that finds the same.
    const third = await openNode(t, left, SEGMENT_BYTES);
    assert.deepEqual(await found(third.storage), all.at(-1));
    await third.close();
    if (!ended) return all;
  }
}
