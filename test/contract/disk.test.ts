/**
 * What src/storage/disk/disk.ts promises of `Disk`, of the node's and of the simulated one. What a crash leaves is in
 * test/sim/disk.test.ts.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { DatabaseEntry, DiskDatabase } from '../../src/storage/index.js';
import { DISKS } from './implementations.js';

const bytes = (text: string): Uint8Array => Buffer.from(text);
const text = (content: Uint8Array | undefined): string | undefined =>
  content === undefined ? undefined : Buffer.from(content).toString();
const OPTIONS = { writeBufferBytes: 1024 * 1024 };

function entriesOf(...indexes: number[]): DatabaseEntry[] {
  return indexes.map((index) => ({ index, bytes: bytes(`value ${index}`) }));
}

async function indexesIn(database: DiskDatabase): Promise<number[]> {
  const indexes: number[] = [];
  await database.scan((entries) => {
    for (const { index, bytes: value } of entries) {
      assert.equal(text(value), `value ${index}`);
      indexes.push(index);
    }
  });
  return indexes;
}

for (const implementation of DISKS) {
  describe(implementation.name, () => {
    test('files are written whole and read, and one that is missing reads as undefined', async (t) => {
      const { disk, path } = await implementation.open(t);
      const file = join(path, 'file');
      assert.equal(await disk.readFile(file), undefined);
      assert.equal(await disk.openFile(file), undefined);
      await disk.writeFile(file, bytes('a longer text'));
      assert.equal(text(await disk.readFile(file)), 'a longer text');
      await disk.writeFile(file, bytes('short'));
      assert.equal(text(await disk.readFile(file)), 'short');
      await assert.rejects(disk.writeFile(join(path, 'no', 'parent'), bytes('x')), { code: 'ENOENT' });
    });

    test('an open file is written in place, and what was written is seen at once', async (t) => {
      const { disk, path } = await implementation.open(t);
      await disk.writeFile(join(path, 'file'), bytes('0123456789'));
      const file = (await disk.openFile(join(path, 'file'))) ?? assert.fail('it is there');
      file.write(bytes('abc'), 4);
      assert.equal(text(await file.read(6)), '0123ab');
      assert.equal(text(await file.read(100)), '0123abc789');
      await file.sync();
      await file.close();
      assert.equal(text(await disk.readFile(join(path, 'file'))), '0123abc789');
    });

    test('a rename takes the place of what bore the name, and moves directories', async (t) => {
      const { disk, path } = await implementation.open(t);
      await disk.writeFile(join(path, 'old'), bytes('old'));
      await disk.writeFile(join(path, 'new'), bytes('new'));
      await disk.rename(join(path, 'new'), join(path, 'old'));
      assert.equal(text(await disk.readFile(join(path, 'old'))), 'new');
      assert.deepEqual(await disk.list(path), ['old']);
      await disk.makeDirectory(join(path, 'folder'));
      await disk.writeFile(join(path, 'folder', 'inner'), bytes('x'));
      await disk.rename(join(path, 'folder'), join(path, 'moved'));
      assert.equal(text(await disk.readFile(join(path, 'moved', 'inner'))), 'x');
      await disk.makeDirectory(join(path, 'other'));
      await disk.rename(join(path, 'moved'), join(path, 'other', 'moved'));
      assert.equal(text(await disk.readFile(join(path, 'other', 'moved', 'inner'))), 'x');
      assert.deepEqual(await disk.list(path), ['old', 'other']);
      await assert.rejects(disk.rename(join(path, 'missing'), join(path, 'x')), { code: 'ENOENT' });
    });

    test('directories are made once, listed, and removed with all that is in them', async (t) => {
      const { disk, path } = await implementation.open(t);
      const folder = join(path, 'folder');
      await disk.makeDirectory(folder);
      await assert.rejects(disk.makeDirectory(folder), { code: 'EEXIST' });
      await disk.makeDirectory(join(folder, 'b'));
      await disk.writeFile(join(folder, 'a'), bytes('x'));
      await disk.syncDirectory(folder);
      assert.deepEqual((await disk.list(folder)).sort(), ['a', 'b']);
      await disk.remove(folder);
      await disk.remove(folder);
      assert.deepEqual(await disk.list(path), []);
      await assert.rejects(disk.list(folder), { code: 'ENOENT' });
      await assert.rejects(disk.syncDirectory(folder), { code: 'ENOENT' });
    });

    test('a database is there once it is made, and only then', async (t) => {
      const { disk, path } = await implementation.open(t);
      const place = join(path, 'db');
      // The engine leaves an empty directory where it looked.
      await assert.rejects(disk.openDatabase(join(path, 'missing'), OPTIONS), { code: 'DATA_LOSS' });
      assert.equal(await disk.databaseIsEmpty(place), true);
      const database = await disk.createDatabase(place, OPTIONS);
      assert.deepEqual(await indexesIn(database), []);
      await database.close();
      assert.equal(await disk.databaseIsEmpty(place), true);
      const opened = await disk.openDatabase(place, OPTIONS);
      await opened.write(entriesOf(1), 1, 0);
      await opened.close();
      assert.equal(await disk.databaseIsEmpty(place), false);
    });

    test('a database holds what was written, in the order of the indexes, also when it is opened again', async (t) => {
      const { disk, path } = await implementation.open(t);
      const database = await disk.createDatabase(join(path, 'db'), OPTIONS);
      await database.write(entriesOf(10, 9, 300, 70_000), 1, 0);
      await database.write(entriesOf(11), 1, 0);
      assert.deepEqual(await indexesIn(database), [9, 10, 11, 300, 70_000]);
      await database.close();
      const again = await disk.openDatabase(join(path, 'db'), OPTIONS);
      assert.deepEqual(await indexesIn(again), [9, 10, 11, 300, 70_000]);
      await again.close();
    });

    test('a write deletes a range first, and may put records into it again', async (t) => {
      const { disk, path } = await implementation.open(t);
      const database = await disk.createDatabase(join(path, 'db'), OPTIONS);
      await database.write(entriesOf(1, 2, 3, 4, 5, 6), 1, 0);
      await database.write(entriesOf(3), 3, 5);
      assert.deepEqual(await indexesIn(database), [1, 2, 3, 6]);
      await database.write([], 6, 6);
      await database.write([{ index: 2, bytes: bytes('another') }], 1, 0);
      assert.deepEqual((await database.read(1, 9, 1000)).map(text), ['value 1', 'another', 'value 3']);
      await database.close();
    });

    test('a read gives what stands in a range, until it is enough', async (t) => {
      const { disk, path } = await implementation.open(t);
      const database = await disk.createDatabase(join(path, 'db'), OPTIONS);
      await database.write(
        Array.from({ length: 20 }, (_, at) => ({ index: at + 1, bytes: Buffer.alloc(100, at + 1) })),
        1,
        0,
      );
      const read = async (from: number, to: number, maxBytes: number): Promise<number[]> =>
        (await database.read(from, to, maxBytes)).map((value) => value[0] ?? 0);
      assert.deepEqual(await read(3, 6, 10_000), [3, 4, 5, 6]);
      assert.deepEqual(await read(7, 7, 1), [7]);
      assert.deepEqual(await read(19, 30, 10_000), [19, 20]);
      assert.deepEqual(await read(21, 30, 10_000), []);
      // It is enough when so much has come: more may, by one, and fewer never.
      const some = await read(1, 20, 250);
      assert.deepEqual(
        some,
        Array.from({ length: some.length }, (_, at) => at + 1),
      );
      assert.ok(some.length >= 1 && some.length <= 4, String(some.length));
      await database.close();
    });
  });
}
