/** LevelDB ends the process where it is shown certain damage: these tests would not fail then, but be gone. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { FlotillaError } from '../../../src/base/index.js';
import type { DiskDatabase } from '../../../src/storage/index.js';
import { wouldMerge } from '../../../src/storage/level/inspection.js';
import { createLevelDatabase, openLevelDatabase } from '../../../src/storage/level/level-database.js';
import type { LiveTable } from '../../../src/storage/level/manifest.js';
import { scratchDirectory } from '../fixture.js';

const OPTIONS = { writeBufferBytes: 4 * 1024 * 1024 };
const FIRST = 1000;

type Values = readonly Uint8Array[];

async function write(database: DiskDatabase, values: Values, first = FIRST): Promise<void> {
  await database.write(
    values.map((bytes, at) => ({ index: first + at, bytes })),
    1,
    0,
  );
}

async function tablesOf(path: string): Promise<string[]> {
  return (await readdir(path))
    .filter((name) => name.endsWith('.ldb'))
    .sort()
    .map((name) => join(path, name));
}

/** A closed database with one table of these values. */
async function settled(path: string, values: Values): Promise<{ table: string; content: Buffer }> {
  const database = await createLevelDatabase(path, OPTIONS);
  await write(database, values);
  await database.settle();
  await database.close();
  const [table] = await tablesOf(path);
  assert.ok(table !== undefined);
  return { table, content: await readFile(table) };
}

/** What it gives out is right, whichever way it is asked; how many of the values it refuses. */
async function refused(path: string, values: Values): Promise<number> {
  let database: DiskDatabase;
  try {
    database = await openLevelDatabase(path, OPTIONS);
  } catch (error) {
    assert.ok(error instanceof FlotillaError && error.code === 'DATA_LOSS', String(error));
    return values.length;
  }
  try {
    const byKey = await readEach(database, values);
    const scanned = new Set<number>();
    await database
      .scan((entries) => {
        for (const { index, bytes } of entries) {
          if (bytes.byteLength === 0) continue;
          assert.deepEqual(bytes, values[index - FIRST]);
          scanned.add(index - FIRST);
        }
      })
      .catch(dataLoss);
    assert.deepEqual(byKey, scanned);
    return values.length - byKey.size;
  } finally {
    await database.close();
  }
}

async function readEach(database: DiskDatabase, values: Values): Promise<Set<number>> {
  const found = new Set<number>();
  for (let at = 0; at < values.length; ) {
    const read = await database.read(FIRST + at, FIRST + values.length - 1, 64 * 1024).catch(dataLoss);
    for (const bytes of read) {
      assert.deepEqual(bytes, values[at]);
      found.add(at++);
    }
    if (read.length === 0) at++;
  }
  return found;
}

function dataLoss(error: unknown): never[] {
  assert.ok(error instanceof FlotillaError && error.code === 'DATA_LOSS', String(error));
  return [];
}

const KINDS: Readonly<Record<string, Values>> = {
  'small ones that are alike': Array.from({ length: 400 }, (_, at) =>
    Buffer.from(JSON.stringify({ order: at, state: 'placed' })),
  ),
  'long runs of one byte': Array.from({ length: 30 }, (_, at) => Buffer.alloc(8192, 97 + (at % 26))),
  'noise, larger than a block': Array.from({ length: 8 }, () => randomBytes(6000)),
  'noise, of a few bytes': Array.from({ length: 400 }, () => randomBytes(30)),
};

const DAMAGES: Readonly<Record<string, (content: Buffer, at: number) => Buffer>> = {
  'a bit flipped': (content, at) => {
    content[at] = (content[at] ?? 0) ^ (1 << (at % 8));
    return content;
  },
  'zeros for 64 bytes': (content, at) => content.fill(0, at, Math.min(at + 64, content.byteLength)),
  'noise for 64 bytes': (content, at) =>
    Buffer.concat([content.subarray(0, at), randomBytes(64), content.subarray(at + 64)]),
  'the rest cut off': (content, at) => content.subarray(0, at),
};

/** The last bytes of a table, which no checksum covers; LevelDB does not use all of them. */
const FOOTER_BYTES = 48;
const PLACES = 20;

for (const [kind, values] of Object.entries(KINDS)) {
  for (const [name, damage] of Object.entries(DAMAGES)) {
    test(`${kind}, ${name}: what is read is right, and the rest of the table is read`, async (t) => {
      const path = join(await scratchDirectory(t), 'db');
      const { table, content } = await settled(path, values);
      const sound = `${path}-sound`;
      await cp(path, sound, { recursive: true });
      const step = (content.byteLength - FOOTER_BYTES) / PLACES;
      let fewest = values.length;
      for (let place = 0; place < PLACES; place++) {
        await writeFile(table, damage(Buffer.from(content), Math.floor(place * step)));
        fewest = Math.min(fewest, await refused(path, values));
        await cp(sound, path, { recursive: true });
      }
      // Where the table ends early, so does what leads to the blocks.
      if (name === 'the rest cut off') assert.equal(fewest, values.length);
      else assert.ok(fewest > 0 && fewest < values.length / 2, `at least ${fewest} refused`);
    });
  }
}

test('a table that is not LevelDB’s, as a crash leaves one behind, is none', async (t) => {
  const path = join(await scratchDirectory(t), 'db');
  const values = KINDS['noise, of a few bytes'] ?? [];
  const { content } = await settled(path, values);
  content[content.byteLength >> 1] = (content[content.byteLength >> 1] ?? 0) ^ 1;
  await writeFile(join(path, '000099.ldb'), content);
  assert.equal(await refused(path, values), 0);
  assert.equal((await tablesOf(path)).length, 1);
});

test('several tables: those of the others are read; as many as LevelDB would put together are refused', async (t) => {
  const path = join(await scratchDirectory(t), 'db');
  const values: Buffer[] = [];
  await (await createLevelDatabase(path, OPTIONS)).close();
  // Each opening makes a table of what was written since the one before.
  for (let tables = 1; tables <= 3; tables++) {
    const more = Array.from({ length: 100 }, () => randomBytes(50));
    const database = await openLevelDatabase(path, OPTIONS);
    await write(database, more, FIRST + values.length);
    await database.close();
    await (await openLevelDatabase(path, OPTIONS)).close();
    values.push(...more);
    const [table] = await tablesOf(path);
    assert.ok(table !== undefined && (await tablesOf(path)).length === tables);
    const sound = await readFile(table);
    await writeFile(table, Buffer.from(sound).fill(0, 0, 64));
    const lost = await refused(path, values);
    assert.ok(lost > 0 && lost <= 100, `${lost} refused`);
    await writeFile(table, sound);
  }
  const database = await openLevelDatabase(path, OPTIONS);
  await write(database, [randomBytes(50)], FIRST + values.length);
  await database.close();
  const [table] = await tablesOf(path);
  assert.ok(table !== undefined);
  await writeFile(table, (await readFile(table)).fill(0, 0, 64));
  assert.equal(await refused(path, values), values.length);
  assert.equal((await tablesOf(path)).length, 3);
});

test('a database that is sound is read whole, after every number of openings', async (t) => {
  const path = join(await scratchDirectory(t), 'db');
  const values: Buffer[] = [];
  await (await createLevelDatabase(path, OPTIONS)).close();
  for (let opening = 0; opening < 12; opening++) {
    const more = Array.from({ length: 50 }, () => randomBytes(300));
    const database = await openLevelDatabase(path, OPTIONS);
    await write(database, more, FIRST + values.length);
    await database.close();
    values.push(...more);
    assert.equal(await refused(path, values), 0);
  }
});

test('what LevelDB would make several tables of, beside a damaged one, is taken into memory as one', async (t) => {
  const path = join(await scratchDirectory(t), 'db');
  const [before, after] = [800, 1200].map((length) => Array.from({ length }, () => Buffer.alloc(3000, 'x')));
  assert.ok(before !== undefined && after !== undefined);
  await (await createLevelDatabase(path, OPTIONS)).close();
  const first = await openLevelDatabase(path, OPTIONS);
  await write(first, before);
  await first.close();
  const second = await openLevelDatabase(path, OPTIONS);
  for (let at = 0; at < after.length; at += 100)
    await write(second, after.slice(at, at + 100), FIRST + before.length + at);
  await second.close();
  const [table] = await tablesOf(path);
  assert.ok(table !== undefined);
  const content = await readFile(table);
  await writeFile(table, content.fill(0, 1000, 1100));
  const small = await openLevelDatabase(path, { writeBufferBytes: 128 * 1024 });
  await small.close();
  assert.equal((await tablesOf(path)).length, 2);
  assert.doesNotMatch(await readFile(join(path, 'LOG'), 'latin1'), /Compact/);
  const lost = await refused(path, [...before, ...after]);
  assert.ok(lost > 0 && lost <= before.length, `${lost} refused`);
});

test('what LevelDB would merge at once is not opened: four tables with logs, or too much that overlaps', () => {
  const table = (level: number, megabytes: number, first: number, last: number): LiveTable => ({
    path: '',
    level,
    bytes: megabytes * 2 ** 20,
    first,
    last,
  });
  const [one, two, three] = [table(0, 1, 1, 9), table(0, 1, 5, 20), table(0, 1, 1, 30)];
  assert.ok(!wouldMerge([one, two], 1));
  assert.ok(wouldMerge([one, two], 2));
  assert.ok(wouldMerge([one, two, three], 1));
  assert.ok(wouldMerge([table(1, 6, 1, 10), table(1, 6, 11, 20), table(2, 9, 20, 30)], 0));
  assert.ok(!wouldMerge([table(1, 6, 1, 10), table(1, 6, 11, 20), table(2, 9, 21, 30)], 0));
  assert.ok(!wouldMerge([table(1, 9, 1, 10), table(2, 90, 1, 30), table(3, 1, 1, 30)], 0));
});

test('a database that does not name its manifest is damaged, whatever else it says', async (t) => {
  const path = join(await scratchDirectory(t), 'db');
  await settled(path, KINDS['noise, of a few bytes'] ?? []);
  const current = join(path, 'CURRENT');
  const sound = await readFile(current, 'latin1');
  for (const content of [
    '',
    '\n',
    '.\n',
    '\0'.repeat(16),
    sound.trimEnd(),
    `${sound.trimEnd()}\0x\n`,
    'MANIFEST-999999\n',
    'x'.repeat(4000),
  ]) {
    await writeFile(current, content);
    await assert.rejects(openLevelDatabase(path, OPTIONS), { code: 'DATA_LOSS' }, JSON.stringify(content));
  }
});

test('what takes the place of damage is read; what is deleted behind it is none', async (t) => {
  const path = join(await scratchDirectory(t), 'db');
  const values = Array.from({ length: 1000 }, () => randomBytes(60));
  const { table, content } = await settled(path, values);
  await writeFile(table, content.fill(0, content.byteLength >> 1, (content.byteLength >> 1) + 10));
  assert.ok((await refused(path, values)) > 0);
  const database = await openLevelDatabase(path, OPTIONS);
  const again = Array.from({ length: 400 }, () => randomBytes(60));
  await database.write(
    again.map((bytes, at) => ({ index: FIRST + 300 + at, bytes })),
    FIRST + 300,
    FIRST + 999,
  );
  assert.equal((await readEach(database, [...values.slice(0, 300), ...again])).size, 700);
  assert.deepEqual(await database.read(FIRST + 700, FIRST + 999, 1000), []);
  await database.close();
});
