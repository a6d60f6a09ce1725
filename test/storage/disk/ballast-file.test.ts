import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FlotillaError, LIMITS } from '../../../src/base/index.js';
import { bytesToOpen } from '../../../src/storage/disk/ballast-file.js';
import { isDiskFull } from '../../../src/storage/disk/disk-space.js';
import { BallastFile } from '../../../src/storage/index.js';
import { scratchDirectory } from '../fixture.js';

const MiB = 2 ** 20;
const FULL = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });

/** A node's folder on a disk of this size, of which others take `others`, and the ballast what it holds. */
async function onDisk(t: TestContext, totalBytes: number) {
  const nodePath = await scratchDirectory(t);
  const disk = { others: 0, used: 0 };
  const size = (): number => (readdirSync(nodePath).includes('ballast') ? statSync(join(nodePath, 'ballast')).size : 0);
  const free = (): number => totalBytes - disk.others - size();
  const measure = async () => ({ freeBytes: free(), totalBytes });
  const find = (): Promise<BallastFile> => BallastFile.find({ nodePath, onUsed: () => disk.used++, measure });
  return { disk, size, free, find, ballast: await find() };
}

/** What opening a database with such a write-ahead log does to the disk: its table comes first, then the log goes. */
function opening({ disk, free }: Awaited<ReturnType<typeof onDisk>>, logBytes: number): () => Promise<string> {
  return async () => {
    if (free() < 1.1 * logBytes) throw new Error('it could not be opened', { cause: FULL });
    disk.others += 0.1 * logBytes;
    return 'open';
  };
}

test('the ballast covers the largest write-ahead log before it is written, and never shrinks by itself', async (t) => {
  const { ballast, size, find } = await onDisk(t, 100 * MiB);
  await ballast.refill();
  assert.equal(size(), LIMITS.runningSpareBytes + bytesToOpen(MiB / 2));
  await ballast.cover(4 * MiB);
  const grown = size();
  assert.ok(grown >= bytesToOpen(4 * MiB) + LIMITS.runningSpareBytes);
  assert.equal(ballast.missingBytes, 0);
  await ballast.cover(5 * MiB);
  assert.equal(size(), grown, 'a log that grows steadily finds it large enough');
  assert.equal((await find()).bytes, grown);
  assert.equal((await find()).missingBytes, 0);
});

test('it leaves a running node the little that it needs', async (t) => {
  const { ballast, disk, free } = await onDisk(t, 10 * MiB);
  disk.others = 9 * MiB;
  await ballast.cover(4 * MiB);
  assert.equal(free(), LIMITS.runningSpareBytes);
  assert.ok(ballast.missingBytes > 4 * MiB, 'what it lacks is known');
});

test('opening a database on a full disk is lent what is lacking, and the ballast takes it back', async (t) => {
  const place = await onDisk(t, 100 * MiB);
  await place.ballast.cover(4 * MiB);
  const whole = place.size();
  place.disk.others = 100 * MiB - whole;
  for (let start = 1; start <= 3; start++) {
    const ballast = await place.find();
    assert.equal(await ballast.lend(bytesToOpen(4 * MiB), opening(place, 4 * MiB)), 'open');
    assert.ok(
      place.size() >= whole - LIMITS.runningSpareBytes - start * MiB,
      `${place.size()} of ${whole} after start ${start}`,
    );
  }
  assert.equal(place.disk.used, 3, 'told once a start');
});

test('loans come one after another: together they may ask for more than there is', async (t) => {
  const place = await onDisk(t, 100 * MiB);
  await place.ballast.cover(2 * MiB);
  place.disk.others = 100 * MiB - place.size();
  let open = 0;
  const loan = (): Promise<void> =>
    place.ballast.lend(bytesToOpen(2 * MiB), async () => {
      assert.equal(++open, 1);
      await new Promise(setImmediate);
      open--;
    });
  await Promise.all([loan(), loan(), loan()]);
});

test('an opening that takes more than was thought is given twice as much, or told how much to make free', async (t) => {
  const place = await onDisk(t, 100 * MiB);
  await place.ballast.cover(4 * MiB);
  place.disk.others = 100 * MiB - place.size();
  assert.equal(await place.ballast.lend(2 * MiB, opening(place, 3 * MiB)), 'open');
  place.disk.others = 100 * MiB - place.size();
  await assert.rejects(place.ballast.lend(MiB, opening(place, 3 * MiB)), (error) => {
    assert.ok(error instanceof FlotillaError && error.code === 'DISK_NEARLY_FULL' && isDiskFull(error));
    assert.match(error.message, /free 1\.0 MiB/);
    return true;
  });
  assert.ok(place.size() > 4 * MiB, 'what was of no use is there for the next one');
});

test('a full quota, which the file system does not tell of, is helped by the ballast, too', async (t) => {
  const { ballast, size } = await onDisk(t, 100 * MiB);
  await ballast.cover(4 * MiB);
  const whole = size();
  const open = async (): Promise<string> => {
    if (size() > whole - MiB)
      throw new Error('it could not be opened', {
        cause: Object.assign(new Error('quota exceeded'), { code: 'EDQUOT' }),
      });
    return 'open';
  };
  assert.equal(await ballast.lend(MiB, open), 'open');
});

test('enough space, and another failure, leave the ballast as it is', async (t) => {
  const { ballast, size, disk } = await onDisk(t, 100 * MiB);
  await ballast.refill();
  const whole = size();
  await assert.rejects(
    ballast.lend(MiB, () => Promise.reject(new Error('damaged'))),
    /damaged/,
  );
  await ballast.leave(MiB);
  assert.deepEqual([size(), disk.used], [whole, 0]);
  disk.others = 100 * MiB - whole;
  await ballast.leave(MiB);
  assert.deepEqual([size(), disk.used], [whole - MiB, 1]);
});

test('a full disk is known by its code, and by what LevelDB says', () => {
  assert.ok(isDiskFull(Object.assign(new Error('x'), { code: 'EDQUOT' })));
  assert.ok(isDiskFull(new Error('x', { cause: new Error('IO error: a/MANIFEST-000004: No space left on device') })));
  assert.ok(!isDiskFull(Object.assign(new Error('x'), { code: 'EIO' })));
});
