import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../../../src/base/index.js';
import { BallastFile, SpaceGuard } from '../../../src/storage/index.js';
import { ManualClock } from '../../support/manual-clock.js';
import { until } from '../../support/until.js';
import { scratchDirectory } from '../fixture.js';

const MiB = 2 ** 20;

interface Disk {
  freeBytes: number;
  bytesWritten: number;
  isIdle: boolean;
}

/** A guard over a disk that the test fills, with a threshold of 10 MiB. */
async function guarded(t: TestContext, freeBytes: number, option: number | 'none' = 10 * MiB) {
  const minFreeBytes = option === 'none' ? undefined : option;
  const disk: Disk = { freeBytes, bytesWritten: 0, isIdle: true };
  const clock = new ManualClock();
  const told: string[] = [];
  const tell = (_: Record<string, unknown>, message: string): number => told.push(message);
  const logger = { debug: tell, info: tell, warn: tell, error: tell };
  let measured = 0;
  const measure = async () => {
    measured++;
    return { freeBytes: disk.freeBytes, totalBytes: 1000 * MiB };
  };
  const ballast = await BallastFile.find({ nodePath: await scratchDirectory(t), onUsed: () => undefined, measure });
  const guard = await SpaceGuard.start({ ballast, storage: disk, clock, logger, segmentBytes: MiB, minFreeBytes });
  t.after(() => guard.stop());
  const look = async (): Promise<void> => {
    const before = measured;
    clock.stall(LIMITS.spaceCheckMs);
    clock.runTimers();
    await until('the disk is measured', () => measured > before && clock.timers > 0);
  };
  return { guard, disk, look, told, ballast };
}

test('below the threshold the disk is low, below half of it full; it takes a quarter more to rise again', async (t) => {
  const { guard, disk, look, told } = await guarded(t, 100 * MiB);
  const pressures: string[] = [];
  const changes: string[] = [];
  guard.onPressure((level) => changes.push(level));
  for (const freeMiB of [11, 9, 11, 6, 4, 6, 7, 12, 13]) {
    disk.freeBytes = freeMiB * MiB;
    await look();
    pressures.push(guard.pressure);
  }
  assert.deepEqual(pressures, ['ok', 'low', 'low', 'low', 'full', 'full', 'low', 'low', 'ok']);
  assert.deepEqual(changes, ['low', 'full', 'low', 'ok']);
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

test('a change is told as soon as what was taken in makes it', async (t) => {
  const { guard } = await guarded(t, 12 * MiB);
  const changes: string[] = [];
  guard.onPressure((level) => changes.push(level));
  for (let taken = 0; taken < 8; taken++) guard.take(MiB);
  assert.deepEqual(changes, ['low', 'full']);
});

test('without an option the threshold is what two segments take, also where one is over its size', async (t) => {
  const { guard, look, ballast } = await guarded(t, 100 * MiB, 'none');
  assert.equal(guard.thresholdBytes, 3 * MiB);
  await ballast.cover(5 * MiB);
  await look();
  assert.equal(guard.thresholdBytes, 13 * MiB);
});

test('what a start was given of the ballast is not for events, and comes back when there is space', async (t) => {
  const { disk, look, guard, ballast } = await guarded(t, 12 * MiB);
  assert.equal(guard.pressure, 'ok');
  assert.ok(guard.ballastBytes > 0);
  disk.freeBytes = LIMITS.runningSpareBytes;
  await ballast.cover(8 * MiB);
  disk.freeBytes = 12 * MiB;
  assert.equal(guard.pressure, 'full', 'the ballast that the next start needs is not there');
  disk.freeBytes = 40 * MiB;
  await look();
  await until('the ballast is whole', () => ballast.missingBytes === 0);
  assert.equal(guard.pressure, 'ok');
});
