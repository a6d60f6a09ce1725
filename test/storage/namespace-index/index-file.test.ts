import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { FlotillaError } from '../../../src/base/index.js';
import { compileGlob } from '../../../src/event/index.js';
import { nodeDisk } from '../../../src/storage/level/node-disk.js';
import { buildIndex } from '../../../src/storage/namespace-index/build-index.js';
import { SegmentMatch } from '../../../src/storage/namespace-index/glob-match.js';
import { blocksFor, IndexFile } from '../../../src/storage/namespace-index/index-file.js';
import { type NamespaceRow, readPlaces } from '../../../src/storage/namespace-index/namespace-row.js';
import { EMPTY_LOG_TAIL, type LogRecord, openAllGathered } from '../../../src/wire/index.js';
import { FailingDisk } from '../failing-disk.js';
import { scratchDirectory } from '../fixture.js';
import { anyRecords, eventsIn, indexPath, isThere, recordsOf, segmentOf, unhurried } from './fixture.js';

async function opened(path: string, records: readonly LogRecord[]): Promise<IndexFile> {
  const file = await IndexFile.open(nodeDisk, path, segmentOf(records, 1).tail);
  assert.ok(file !== undefined, 'there is an index that fits');
  return file;
}

async function rowsOf(file: IndexFile): Promise<NamespaceRow[]> {
  const { blocks } = await file.top();
  return (await Promise.all(blocks.map((block) => file.rows(block)))).flat();
}

test('buildIndex counts and finds what a scan record by record does', async (t) => {
  const path = indexPath(await scratchDirectory(t));
  await fc.assert(
    fc.asyncProperty(anyRecords, fc.integer({ min: 100, max: 20_000 }), async (records, runBytes) => {
      await buildIndex(nodeDisk, path, segmentOf(records, runBytes), unhurried());
      const file = await opened(path, records);
      await file.verify();
      const events = eventsIn(records);
      const names = [...new Set(events.map(({ namespace }) => namespace))]
        .map((name) => Buffer.from(name))
        .sort(Buffer.compare);
      const rows = await rowsOf(file);
      assert.deepEqual(
        rows.map(({ name }) => name.toString()),
        names.map(String),
        'ascending by bytes',
      );
      assert.equal(file.header.rows, names.length);
      for (const row of rows) {
        const own = events.filter(({ namespace }) => namespace === row.name.toString());
        const places = readPlaces(row, EMPTY_LOG_TAIL.index);
        assert.deepEqual([row.count, row.first, row.last], [own.length, own[0]?.id, own.at(-1)?.id]);
        assert.deepEqual(
          places.flatMap((place) => place.records),
          [...new Set(own.map(({ index }) => index))],
        );
        for (const { copy, records: holding } of places) {
          if (copy === undefined) continue;
          const copied = openAllGathered(await file.bytes(copy)).flatMap((pack) => pack.toEvents());
          const there = own.filter(({ index }) => holding.includes(index)).map(({ index, ...event }) => event);
          assert.deepEqual(
            copied.map(({ id, data }) => [id, [...data]]),
            there.map(({ id, data }) => [id, [...data]]),
          );
        }
      }
      await file.close();
    }),
    { numRuns: 40 },
  );
});

test('blocksFor names the blocks that may hold the prefix', async (t) => {
  const path = indexPath(await scratchDirectory(t));
  const names = Array.from({ length: 3000 }, (_, n) => `/${n % 7}/${String(n).padStart(5, '0')}`);
  const records = recordsOf(names, 400, 20);
  await buildIndex(nodeDisk, path, segmentOf(records, 1 << 20), unhurried());
  const file = await opened(path, records);
  const top = await file.top();
  assert.ok(top.blocks.length > 10, `${top.blocks.length} blocks`);
  for (const prefix of ['/', '/3/', '/3/00010', '/9', '', '/6/02']) {
    const blocks = blocksFor(top, Buffer.from(prefix));
    const rows = (await Promise.all(blocks.map((block) => file.rows(block))))
      .flat()
      .filter(({ name }) => name.toString().startsWith(prefix));
    const expected = new Set(
      eventsIn(records)
        .map(({ namespace }) => namespace)
        .filter((name) => name.startsWith(prefix)),
    );
    assert.equal(rows.length, expected.size, prefix);
    if (prefix.length > 5) assert.ok(blocks.length <= 2, `${blocks.length} blocks for ${prefix}`);
  }
  await file.close();
});

test('any byte of an index file that is changed is found', async (t) => {
  const path = indexPath(await scratchDirectory(t));
  const records = recordsOf(['/a', '/c/d', '/c/e'], 5, 4);
  await buildIndex(nodeDisk, path, segmentOf(records, 600), unhurried());
  const sound = await readFile(path);
  const segment = segmentOf(records, 600);
  const wanted = eventsIn(records).filter(({ namespace }) => namespace.startsWith('/c/')).length;
  for (let at = 0; at < sound.byteLength; at++) {
    const changed = Buffer.from(sound);
    changed[at] = (changed[at] ?? 0) ^ 0x20;
    await writeFile(path, changed);
    const file = await IndexFile.open(nodeDisk, path, segment.tail);
    if (file === undefined) continue;
    await assert.rejects(file.verify(), { code: 'DATA_LOSS' }, `byte ${at} of ${sound.byteLength}`);
    // Nor does a reader of only a part of it believe it.
    const found = await readMatching(file, records).catch((error: unknown) => {
      assert.ok(error instanceof FlotillaError && error.code === 'DATA_LOSS', `byte ${at}: ${String(error)}`);
      return wanted;
    });
    assert.equal(found, wanted, `byte ${at}`);
    await file.close();
  }
});

/** How many events of /c/ the index finds. */
async function readMatching(file: IndexFile, records: readonly LogRecord[]): Promise<number> {
  const segment = segmentOf(records, 600);
  const glob = compileGlob('/c/*');
  const match = await SegmentMatch.find(file, segment, glob);
  let count = 0;
  for (let next = segment.before.index + 1; next <= segment.tail.index; ) {
    const matches = await match?.read(records[next - 1]?.index ?? segment.tail.index, segment, (action) =>
      action(file),
    );
    assert.ok(matches !== undefined);
    if (matches.kind === 'events') for (const pack of matches.gathered) count += pack.count;
    else count += eventsIn(matches.records).filter(({ namespace }) => glob.matches(namespace)).length;
    next = matches.through + 1;
  }
  return count;
}

test('a crash at any change of buildIndex leaves no index, or a whole one', async (t) => {
  const path = indexPath(await scratchDirectory(t));
  const records = recordsOf(['/a', '/b'], 30);
  const segment = segmentOf(records, 1000);
  let outcome = 'nothing';
  for (let changes = 0; outcome !== 'made'; changes++) {
    const disk = new FailingDisk(changes);
    outcome = await buildIndex(disk, path, segment, unhurried()).then(
      () => 'made',
      () => 'crashed',
    );
    const file = await IndexFile.open(nodeDisk, path, segment.tail);
    if (file !== undefined) {
      await file.verify();
      await file.close();
      assert.equal((await rowsOf(await opened(path, records))).length, 2);
    }
    assert.equal(await isThere(path), file !== undefined, `after ${changes} changes`);
    assert.ok(changes < 1000);
  }
});

test('an index file of another history is none', async (t) => {
  const path = indexPath(await scratchDirectory(t));
  const records = recordsOf(['/a', '/b'], 30);
  const segment = segmentOf(records, 1000);
  await buildIndex(nodeDisk, path, segment, unhurried());
  for (const tail of [
    { ...segment.tail, checksum: 1 },
    { ...segment.tail, term: EMPTY_LOG_TAIL.term },
    segmentOf(records.slice(0, 9), 1).tail,
  ]) {
    assert.equal(await IndexFile.open(nodeDisk, path, tail), undefined);
  }
});
