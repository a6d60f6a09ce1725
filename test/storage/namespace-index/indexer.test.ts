import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../../../src/base/index.js';
import { NamespaceIndexer, type Pace } from '../../../src/storage/namespace-index/index.js';
import { ManualClock } from '../../support/manual-clock.js';

/** An indexer on a disk that has space or not, and a segment that says how often its index was begun. */
function indexing(t: TestContext, ensureIndex: (pace: Pace) => Promise<void> = async () => undefined) {
  const clock = new ManualClock();
  const disk = { isDiskOk: false };
  const indexer = new NamespaceIndexer(
    clock,
    (error) => assert.fail(String(error)),
    () => disk.isDiskOk,
  );
  t.after(() => indexer.stop());
  const segment = {
    begun: 0,
    ensureIndex(pace: Pace): Promise<void> {
      segment.begun++;
      return ensureIndex(pace);
    },
  };
  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) {
      clock.runSoon();
      await new Promise(setImmediate);
    }
  };
  const later = async (): Promise<void> => {
    clock.stall(LIMITS.spaceCheckMs);
    clock.runTimers();
    await settled();
  };
  return { indexer, disk, segment, settled, later };
}

test('while the disk is short of space no index is begun; it is once there is space', async (t) => {
  const { indexer, disk, segment, settled, later } = indexing(t);
  indexer.want(segment);
  await settled();
  await later();
  assert.equal(segment.begun, 0);
  disk.isDiskOk = true;
  await later();
  assert.equal(segment.begun, 1);
});

test('an index that meets a full disk is no failed write: it is made later', async (t) => {
  const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  const { indexer, disk, segment, settled, later } = indexing(t, async () => {
    if (segment.begun === 1) throw full;
  });
  disk.isDiskOk = true;
  indexer.want(segment);
  await settled();
  assert.equal(segment.begun, 1);
  await later();
  assert.equal(segment.begun, 2);
  await later();
  assert.equal(segment.begun, 2);
});

test('one that is being made when the space runs short ends at its next rest, and is made later', async (t) => {
  let rested = false;
  const { indexer, disk, segment, settled, later } = indexing(t, async (pace) => {
    if (segment.begun > 1) return;
    disk.isDiskOk = false;
    await pace.rest();
    rested = true;
  });
  disk.isDiskOk = true;
  indexer.want(segment);
  await settled();
  assert.ok(!rested);
  disk.isDiskOk = true;
  await later();
  assert.equal(segment.begun, 2);
});

test('an indexer that waits for space can be stopped', async (t) => {
  const { indexer, segment, settled } = indexing(t);
  indexer.want(segment);
  await settled();
  await indexer.stop();
  assert.equal(segment.begun, 0);
});

test('while records are read or written, an index is made slowly: it rests longer than it works', async (t) => {
  for (const used of [false, true]) {
    let rested = false;
    const { indexer, disk, segment, settled, later } = indexing(t, async (pace) => {
      await pace.rest();
      rested = true;
    });
    disk.isDiskOk = true;
    indexer.want(segment);
    if (used) indexer.noteUse();
    await settled();
    assert.equal(rested, !used);
    await later();
    assert.equal(rested, true);
  }
});
