import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/index.js';
import { isDiskFull } from '../../src/storage/disk-space.js';
import { releaseReserveBelow, SpaceGuard, withReserve } from '../../src/storage/index.js';
import { ManualClock } from '../support/manual-clock.js';
import { until } from '../support/until.js';
import { scratchDirectory } from './fixture.js';

const MiB = 2 ** 20;

interface Disk {
  freeBytes: number;
  bytesWritten: number;
  isIdle: boolean;
  openSegmentBytes: number;
}

/** A guard over a disk that the test fills, with a threshold of 10 MiB. */
async function guarded(t: TestContext, freeBytes: number, minFreeBytes: number | undefined = 10 * MiB) {
  const path = await scratchDirectory(t);
  const disk: Disk = { freeBytes, bytesWritten: 0, isIdle: true, openSegmentBytes: 0 };
  const clock = new ManualClock();
  const told: string[] = [];
  const tell = (_: Record<string, unknown>, message: string): number => told.push(message);
  const logger = { debug: tell, info: tell, warn: tell, error: tell };
  let measured = 0;
  const measure = async () => {
    measured++;
    return { freeBytes: disk.freeBytes, totalBytes: 1000 * MiB };
  };
  const guard = await SpaceGuard.start({ path, storage: disk, clock, logger, segmentBytes: MiB, minFreeBytes, measure });
  t.after(() => guard.stop());
  const look = async (): Promise<void> => {
    const before = measured;
    clock.stall(LIMITS.spaceCheckMs);
    clock.runTimers();
    await until('the disk is measured', () => measured > before && clock.timers > 0);
  };
  return { guard, disk, look, told, path };
}

test('below the threshold the disk is low, below half of it full, and it takes a quarter more to rise again', async (t) => {
  const { guard, disk, look, told } = await guarded(t, 100 * MiB);
  const rooms: string[] = [];
  for (const freeMiB of [11, 9, 11, 6, 4, 6, 7, 12, 13]) {
    disk.freeBytes = freeMiB * MiB;
    await look();
    rooms.push(guard.roomNow());
  }
  assert.deepEqual(rooms, ['ample', 'low', 'low', 'low', 'full', 'full', 'low', 'low', 'ample']);
  assert.equal(told.length, 4, 'only what has changed is told');
});

test('what is taken in counts as gone at once, and no longer when the file system says so', async (t) => {
  const { guard, disk, look } = await guarded(t, 20 * MiB);
  const before = guard.freeBytes;
  disk.isIdle = false;
  guard.take(MiB);
  assert.equal(guard.freeBytes, before - MiB);
  disk.bytesWritten = MiB;
  disk.freeBytes = before - MiB;
  await look();
  assert.equal(guard.freeBytes, before - MiB, 'it is written, and seen');
  guard.take(MiB);
  disk.isIdle = true;
  disk.freeBytes = before - MiB;
  await look();
  assert.equal(guard.freeBytes, before - MiB, 'it was truncated before it was written');
});

test('without an option the threshold is what two segments take, also where the open one has grown over its size', async (t) => {
  const path = await scratchDirectory(t);
  const disk = { bytesWritten: 0, isIdle: true, openSegmentBytes: 5 * MiB };
  const logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const measure = async () => ({ freeBytes: 100 * MiB, totalBytes: 1000 * MiB });
  const options = { path, storage: disk, clock: new ManualClock(), logger, segmentBytes: MiB, minFreeBytes: undefined, measure };
  const guard = await SpaceGuard.start(options);
  t.after(() => guard.stop());
  assert.equal(guard.thresholdBytes, 13 * MiB);
});

test('the reserve grows with the open segment, never shrinks, and is not made where there is little room', async (t) => {
  const { guard, disk, look, path } = await guarded(t, 100 * MiB);
  const onDisk = (): number => (readdirSync(path).includes('reserve') ? statSync(join(path, 'reserve')).size : 0);
  assert.equal(onDisk(), LIMITS.reserveBytes);
  disk.openSegmentBytes = 4 * MiB;
  await look();
  await until('it has grown', () => onDisk() >= 5 * MiB);
  const grown = guard.reserveBytes;
  disk.openSegmentBytes = 0;
  await look();
  assert.equal(guard.reserveBytes, grown);
  disk.freeBytes = 12 * MiB;
  disk.openSegmentBytes = 8 * MiB;
  await look();
  assert.equal(guard.reserveBytes, grown);
});

test('what a start was given of the reserve is not for events', async (t) => {
  const { disk, look, guard } = await guarded(t, 12 * MiB);
  assert.equal(guard.roomNow(), 'ample');
  disk.openSegmentBytes = 8 * MiB;
  assert.equal(guard.roomNow(), 'full', 'the reserve that the next start needs is not there');
  disk.openSegmentBytes = 0;
  assert.equal(guard.roomNow(), 'full', 'what was sealed has to be opened for its readers');
  disk.freeBytes = 40 * MiB;
  await look();
  assert.equal(guard.roomNow(), 'ample');
});

test('a start that finds the disk full has the reserve given free, once', async (t) => {
  const { path, guard } = await guarded(t, 100 * MiB);
  await guard.stop();
  let attempts = 0;
  const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  const open = async (): Promise<string> => {
    if (++attempts === 1) throw new Error('it could not be opened', { cause: full });
    return 'open';
  };
  let released = 0;
  assert.equal(await withReserve(path, open, () => released++), 'open');
  assert.deepEqual([attempts, released, readdirSync(path)], [2, 1, []]);
  attempts = 0;
  await assert.rejects(
    withReserve(path, open, () => released++),
    /could not be opened/,
  );
  assert.equal(released, 1, 'without a reserve there is nothing to give');
});

test('another failure leaves the reserve where it is, and so does enough room', async (t) => {
  const { path, guard } = await guarded(t, 100 * MiB);
  await guard.stop();
  await assert.rejects(
    withReserve(path, () => Promise.reject(new Error('damaged')), assert.fail),
    /damaged/,
  );
  await releaseReserveBelow(path, 0, assert.fail);
  assert.deepEqual(readdirSync(path), ['reserve']);
  await releaseReserveBelow(path, Number.MAX_SAFE_INTEGER, () => undefined);
  assert.deepEqual(readdirSync(path), []);
});

test('a full disk is known by its code, and by what LevelDB says', () => {
  assert.ok(isDiskFull(Object.assign(new Error('x'), { code: 'EDQUOT' })));
  assert.ok(isDiskFull(new Error('x', { cause: new Error('IO error: a/MANIFEST-000004: No space left on device') })));
  assert.ok(!isDiskFull(Object.assign(new Error('x'), { code: 'EIO' })));
});
