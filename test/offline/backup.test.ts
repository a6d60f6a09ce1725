import assert from 'node:assert/strict';
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { verifyBackup } from '../../src/offline/backup.js';
import { BackupFolder, holdBackupFolder } from '../../src/offline/backup-folder.js';
import { FailingDisk } from '../storage/failing-disk.js';
import { checksums, copyOf, scratchDirectory } from '../storage/fixture.js';
import { backUpRecords, recordsOf, StreamLog } from './backup-fixture.js';

test('a backup holds what came and where it began, in files of bounded size', async (t) => {
  const path = await scratchDirectory(t);
  const log = new StreamLog();
  log.addMany(200, { count: 2, bytes: 60 });
  // One that is larger than a file has one of its own.
  log.add({ bytes: 10_000 });
  log.addMany(3);
  const manifest = await backUpRecords(path, log, log.records);
  assert.deepEqual(checksums(await recordsOf(path)), checksums(log.records));
  const { state, ...origin } = await (await BackupFolder.open(path)).readCheckpoint();
  assert.deepEqual({ ...origin, state: Uint8Array.from(state) }, log.checkpoint);
  const sizes = manifest.files.map(({ bytes }) => bytes);
  assert.ok(sizes.length > 5 && sizes.filter((bytes) => bytes > 4096).length === 1, JSON.stringify(sizes));
  assert.deepEqual(
    (await readdir(path)).sort(),
    ['checkpoint', 'manifest', ...manifest.files.map(({ name }) => name)].sort(),
  );
});

test('a second backup takes only what is new, and many small ones do not become many files', async (t) => {
  const path = await scratchDirectory(t);
  const log = new StreamLog();
  await backUpRecords(path, log, log.addMany(30, { bytes: 100 }));
  let files = 0;
  for (let run = 0; run < 60; run++) {
    const { files: named, confirmed } = await backUpRecords(path, log, log.addMany(run % 3), {
      confirmed: run % 2 === 0,
    });
    files = named.length;
    assert.equal(confirmed, run % 2 === 0);
    assert.deepEqual(checksums(await recordsOf(path)), checksums(log.records), `run ${run}`);
  }
  assert.ok(files <= 10, `${files} files`);
  assert.equal((await readdir(path)).length, files + 2, 'what others have taken the place of is gone');
});

test('a backup that is interrupted anywhere leaves the one before or a later one, and the next goes on', async (t) => {
  const origin = await scratchDirectory(t);
  const log = new StreamLog();
  await backUpRecords(origin, log, log.addMany(20, { bytes: 100 }));
  const before = log.records.length;
  const added = log.addMany(60, { bytes: 100 });
  const found = new Set<number>();
  for (let changes = 0; ; changes++) {
    const path = await copyOf(t, origin);
    const disk = new FailingDisk(changes);
    const ended = await backUpRecords(path, log, added, { disk }).then(
      () => false,
      () => true,
    );
    assert.deepEqual((await verifyBackup(path)).damages, []);
    const { length } = await recordsOf(path);
    assert.ok(length >= before);
    found.add(length);
    await backUpRecords(path, log, log.records.slice(length));
    assert.deepEqual(checksums(await recordsOf(path)), checksums(log.records));
    const named = (await BackupFolder.open(path)).requireManifest().files.length;
    assert.equal((await readdir(path)).length, named + 2, 'nothing is left over');
    if (!ended) break;
  }
  assert.ok(found.has(before) && found.has(log.records.length) && found.size > 2, [...found].join());
});

test('verify names each damage, in every file that there is', async (t) => {
  const origin = await scratchDirectory(t);
  const log = new StreamLog();
  await backUpRecords(origin, log, log.addMany(60, { bytes: 100 }));
  const names = (await readdir(origin)).filter((name) => name !== 'manifest');
  assert.ok(names.length >= 3);
  for (const name of names) {
    for (const harm of [flipByte, cutShort, zero, remove]) {
      const path = await copyOf(t, origin);
      await harm(join(path, name));
      const { damages } = await verifyBackup(path);
      assert.equal(damages.length, 1, `${name}: ${damages.join()}`);
      assert.ok(damages[0]?.includes(name), damages[0]);
      await assert.rejects(
        async () => {
          const folder = await BackupFolder.open(path);
          await folder.readCheckpoint();
          await recordsOf(path);
        },
        { code: 'DATA_LOSS' },
      );
    }
  }
  const two = await copyOf(t, origin);
  for (const name of names.slice(-2)) await flipByte(join(two, name));
  assert.equal((await verifyBackup(two)).damages.length, 2);
  for (const harm of [flipByte, cutShort, zero]) {
    const path = await copyOf(t, origin);
    await harm(join(path, 'manifest'));
    await assert.rejects(verifyBackup(path), { code: 'DATA_LOSS' });
  }
});

test('verify finds a file of another backup in the place of one', async (t) => {
  const [path, other] = [await scratchDirectory(t), await scratchDirectory(t)];
  const [log, otherLog] = [new StreamLog(), new StreamLog()];
  const { files } = await backUpRecords(path, log, log.addMany(60, { bytes: 100 }));
  await backUpRecords(other, otherLog, otherLog.addMany(60, { bytes: 100, timestampMs: 7 }));
  const name = files[1]?.name ?? assert.fail('there are several');
  await writeFile(join(path, name), await readFile(join(other, name)));
  const { damages } = await verifyBackup(path);
  assert.equal(damages.length, 1);
});

test('hold refuses a folder of other files, and a second backup', async (t) => {
  const path = await scratchDirectory(t);
  await writeFile(join(path, 'photo.jpg'), 'x');
  await assert.rejects(holdBackupFolder(path), /holds no backup, but "photo.jpg"/);
  const inner = join(path, 'a', 'b');
  const release = await holdBackupFolder(inner);
  await assert.rejects(holdBackupFolder(inner), /another backup to .* is under way/);
  await release();
  await (await holdBackupFolder(inner))();
});

async function flipByte(path: string): Promise<void> {
  const content = await readFile(path);
  const middle = Math.floor(content.byteLength / 2);
  content[middle] = (content[middle] ?? 0) ^ 0x10;
  await writeFile(path, content);
}

async function cutShort(path: string): Promise<void> {
  await truncate(path, (await readFile(path)).byteLength - 3);
}

async function zero(path: string): Promise<void> {
  await writeFile(path, Buffer.alloc((await readFile(path)).byteLength));
}

async function remove(path: string): Promise<void> {
  await rm(path);
}
