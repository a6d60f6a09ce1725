import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FlotillaError, LIMITS, logIndex } from '../../../src/base/index.js';
import { MACHINES } from '../../../src/cluster/index.js';
import { bytesToOpen } from '../../../src/storage/disk/ballast-file.js';
import type { Disk } from '../../../src/storage/disk/disk.js';
import { BallastFile, ballastedDisk } from '../../../src/storage/index.js';
import { nodeDisk } from '../../../src/storage/level/node-disk.js';
import { UNOBSERVED } from '../../../src/storage/segment/healing.js';
import { OpenDatabaseCache } from '../../../src/storage/segment/open-database-cache.js';
import { SegmentDatabase } from '../../../src/storage/segment/segment-database.js';
import { ManualClock } from '../../support/manual-clock.js';
import { scratchDirectory } from '../fixture.js';

const MiB = 2 ** 20;
const OPTIONS = { writeBufferBytes: 16 * MiB };

/** A disk of which others take all but `freeBytes` and what the ballast gives free. */
async function newDisk(t: TestContext) {
  const nodePath = await scratchDirectory(t);
  const space = { freeBytes: 1000 * MiB, used: 0 };
  const measure = async () => ({ freeBytes: space.freeBytes, totalBytes: 1000 * MiB });
  const ballast = await BallastFile.find({ nodePath, onUsed: () => space.used++, measure });
  return { ballast, space, disk: ballastedDisk(nodeDisk, ballast), path: join(nodePath, 'db') };
}

function entries(count: number, bytes: number) {
  return Array.from({ length: count }, (_, position) => ({
    index: position + 1,
    bytes: Buffer.alloc(bytes, position),
  }));
}

test('before records are written the ballast covers what opening their database again will take', async (t) => {
  const { ballast, disk, path } = await newDisk(t);
  const database = await disk.createDatabase(path, OPTIONS);
  await database.write(entries(3, MiB), 1, 0);
  assert.ok(ballast.bytes >= bytesToOpen(3 * MiB) + LIMITS.runningSpareBytes, `${ballast.bytes}`);
  await database.close();
});

test('opening a database on a full disk takes as much of the ballast as its write-ahead log needs', async (t) => {
  const { ballast, space, disk, path } = await newDisk(t);
  const database = await disk.createDatabase(path, OPTIONS);
  await database.write(entries(3, MiB), 1, 0);
  await database.close();
  const whole = ballast.bytes;
  space.freeBytes = 0;
  await (await disk.openDatabase(path, OPTIONS)).close();
  assert.ok(ballast.bytes <= whole - bytesToOpen(3 * MiB), `${ballast.bytes} of ${whole}`);
  space.freeBytes = 1000 * MiB;
  await ballast.refill();
  assert.equal(ballast.bytes, whole);
  space.freeBytes = 0;
  const opened = await disk.openDatabase(path, OPTIONS);
  assert.equal(ballast.bytes, whole - bytesToOpen(0));
  assert.equal((await opened.read(1, 3, 10 * MiB)).length, 3);
  await opened.close();
});

test('what is written where there was next to no space at the last look is given space', async (t) => {
  const { ballast, space, disk, path } = await newDisk(t);
  const database = await disk.createDatabase(path, OPTIONS);
  await database.write(entries(1, 100), 1, 0);
  assert.equal(space.used, 0);
  space.freeBytes = 0;
  await ballast.freeBytes();
  await database.write([{ index: 2, bytes: Buffer.alloc(100) }], 1, 0);
  assert.equal(space.used, 1);
  await database.close();
});

test('on a full disk a sealed segment is refused to its reader, and the open one ends the node', async (t) => {
  const { disk } = await newDisk(t);
  const full: Disk = { ...disk, openDatabase: () => Promise.reject(new FlotillaError('DISK_NEARLY_FULL', 'no space')) };
  const failures: unknown[] = [];
  const onFailure = (error: unknown): number => failures.push(error);
  const clock = new ManualClock();
  const healing = { source: undefined, observer: UNOBSERVED };
  const settings = {
    disk: full,
    clock,
    machines: MACHINES,
    segmentBytes: MiB,
    openDatabases: new OpenDatabaseCache(clock, onFailure),
    healing,
    onFailure,
  };
  const refused = { code: 'DISK_NEARLY_FULL' };
  const sealed = new SegmentDatabase('sealed', settings, false);
  await assert.rejects(sealed.read(logIndex(1), logIndex(1), 1), refused);
  await assert.rejects(sealed.read(logIndex(1), logIndex(1), 1), refused);
  assert.deepEqual(failures, []);
  await assert.rejects(new SegmentDatabase('open', settings, true).read(logIndex(1), logIndex(1), 1), refused);
  assert.equal(failures.length, 1);
});
