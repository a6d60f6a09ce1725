import assert from 'node:assert/strict';
import { open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type LogIndex, logIndex } from '../../../src/base/index.js';
import { compileGlob } from '../../../src/event/index.js';
import { NamespaceIndexer } from '../../../src/storage/namespace-index/index.js';
import { segmentName } from '../../../src/storage/segment/segment-files.js';
import type { LogRecord } from '../../../src/wire/index.js';
import { until } from '../../support/until.js';
import {
  append,
  GROUP,
  newNode,
  type OpenNode,
  openNode,
  RecordChain,
  scratchDirectory,
  segmentsPath,
} from '../fixture.js';
import { anyRecords, indexPath, isThere, matchesOf, recordsOf, reseal, textOf } from './fixture.js';

const SEGMENT_BYTES = 8 * 1024;

const directoryOf = (dir: string, sequence: number): string => join(segmentsPath(dir), segmentName(sequence));

async function indexed(dir: string): Promise<number> {
  let sequence = 1;
  for (; await isThere(join(directoryOf(dir, sequence), 'footer')); sequence++) {
    const at = sequence;
    await until(`segment ${at} has an index`, () => isThere(indexPath(directoryOf(dir, at))));
  }
  return sequence - 1;
}

/** Everything that matches, found as a reader does; and how many steps went by an index. */
async function matching(
  { storage }: OpenNode,
  pattern: string,
  from: number,
  to: LogIndex,
): Promise<{ found: string[]; steps: string[] }> {
  const glob = compileGlob(pattern);
  const log = storage.group(GROUP);
  const search = log.search(glob);
  const found: string[] = [];
  const steps: string[] = [];
  for (let next = logIndex(from); next <= to; ) {
    const matches = await search.next(next, to);
    const through: LogIndex = matches?.through ?? next;
    assert.ok(through >= next && through <= to, 'it goes on, and no further than was asked for');
    if (matches?.kind === 'events') {
      const events = matches.gathered
        .flatMap((pack) => pack.toEvents())
        .sort((left, right) => left.id.counter - right.id.counter);
      if (matches.ordered)
        assert.deepEqual(
          events,
          matches.gathered.flatMap((pack) => pack.toEvents()),
        );
      found.push(...events.map(textOf));
    } else {
      const records = matches?.records ?? (await log.read(next, next, 1));
      found.push(...matchesOf(records, glob));
    }
    steps.push(matches?.kind ?? 'unindexed');
    next = logIndex(through + 1);
  }
  return { found, steps };
}

async function filled(
  t: TestContext,
  records: readonly LogRecord[],
): Promise<{ dir: string; node: OpenNode; tail: LogIndex }> {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, SEGMENT_BYTES);
  for (let at = 0; at < records.length; at += 5) await node.storage.persist(append(records.slice(at, at + 5)));
  const tail = records.at(-1)?.index ?? logIndex(0);
  node.storage.group(GROUP).noteCommitted(tail);
  return { dir, node, tail };
}

const PATTERNS = [
  '/a/**',
  '/n/1',
  '/n/1*',
  '/n/*',
  '/a/b',
  '/$sys/*',
  '/*',
  '/**/*',
  'a',
  '/b/**/x',
  '/\u{1f600}',
  '/nothing/**',
  '/long/**',
];

test('a search finds what reading every record finds', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyRecords, { minLength: 3, maxLength: 4 }), async (parts) => {
      // One chain: the parts are sealed anew one behind the other.
      const records = reseal(parts.flat());
      const { dir, node, tail } = await filled(t, records);
      await indexed(dir);
      for (const pattern of PATTERNS) {
        for (const from of [1, Math.ceil(tail / 3), Math.max(1, tail - 1)]) {
          const expected = matchesOf(records.slice(from - 1), compileGlob(pattern));
          assert.deepEqual(
            (await matching(node, pattern, from, tail)).found,
            expected,
            `${pattern} from record ${from} of ${tail}`,
          );
        }
      }
      await node.close();
    }),
    { numRuns: 8 },
  );
});

test('a search goes by the index of sealed segments, and reads the open one', async (t) => {
  const records = recordsOf(
    Array.from({ length: 40 }, (_, n) => `/n/${n}`),
    120,
  );
  const { dir, node, tail } = await filled(t, records);
  assert.ok((await indexed(dir)) >= 3);
  const { found, steps } = await matching(node, '/n/7', 1, tail);
  assert.deepEqual(found, matchesOf(records, compileGlob('/n/7')));
  const log = node.storage.group(GROUP);
  // No checkpoint was stored, so one is due at each segment's begin.
  let openAfter = 0;
  for (let due = log.checkpointDue(logIndex(1)); due !== undefined; due = log.checkpointDue(logIndex(due + 1)))
    openAfter = due;
  assert.deepEqual(new Set(steps.slice(0, steps.indexOf('unindexed'))), new Set(['events']), 'by copies');
  assert.equal(steps.filter((step) => step === 'unindexed').length, tail - openAfter);
});

test('a search believes no index that knows of more than is committed', async (t) => {
  const records = recordsOf(['/a', '/b'], 60);
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, SEGMENT_BYTES);
  for (const record of records) await node.storage.persist(append([record]));
  await indexed(dir);
  const log = node.storage.group(GROUP);
  assert.equal(
    await log.search(compileGlob('/a')).next(logIndex(1), logIndex(60)),
    undefined,
    'nothing is known to be committed',
  );
  log.noteCommitted(logIndex(60));
  assert.ok((await log.search(compileGlob('/a')).next(logIndex(1), logIndex(60))) !== undefined);
  assert.equal(
    await log.search(compileGlob('/a')).next(logIndex(1), logIndex(5)),
    undefined,
    'the segment goes on behind what is asked for',
  );
});

test('a read is use that the indexer makes way for, a search by the index is not', async (t) => {
  const { dir, node, tail } = await filled(t, recordsOf(['/a', '/b'], 60));
  await indexed(dir);
  const uses = t.mock.method(NamespaceIndexer.prototype, 'noteUse');
  const log = node.storage.group(GROUP);
  assert.notEqual(await log.search(compileGlob('/a')).next(logIndex(1), tail), undefined);
  assert.equal(uses.mock.callCount(), 0);
  await log.read(logIndex(1), tail, 1);
  assert.equal(uses.mock.callCount(), 1);
});

test('an index goes with a truncation, and comes back with the next seal', async (t) => {
  const records = recordsOf(['/a', '/b'], 60);
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, SEGMENT_BYTES);
  for (const record of records) await node.storage.persist(append([record]));
  assert.ok((await indexed(dir)) >= 2);
  await node.storage.persist(append([], 3));
  assert.equal(await isThere(indexPath(directoryOf(dir, 1))), false);
  const others = recordsOf(['/other'], 60);
  const replaced = reseal([...records.slice(0, 3), ...others]);
  await node.storage.persist(append(replaced.slice(3)));
  await until('the segment is sealed again', () => isThere(join(directoryOf(dir, 1), 'footer')));
  await indexed(dir);
  node.storage.group(GROUP).noteCommitted(logIndex(63));
  const { found, steps } = await matching(node, '/other', 1, logIndex(63));
  assert.deepEqual(found, matchesOf(replaced, compileGlob('/other')));
  assert.ok(steps[0] !== 'unindexed');
});

test('a missing or damaged index is made anew, and nothing wrong is served meanwhile', async (t) => {
  const records = recordsOf(
    Array.from({ length: 20 }, (_, n) => `/n/${n}`),
    120,
  );
  const { dir, node, tail } = await filled(t, records);
  assert.ok((await indexed(dir)) >= 4);
  const { steps: atFirst } = await matching(node, '/n/7', 1, tail);
  const unindexed = atFirst.filter((step) => step === 'unindexed').length;
  await node.close();
  await rm(indexPath(directoryOf(dir, 1)));
  const sound = await readFile(indexPath(directoryOf(dir, 2)));
  await flip(indexPath(directoryOf(dir, 2)), 3);
  await flip(indexPath(directoryOf(dir, 3)), sound.byteLength / 2);
  await flip(indexPath(directoryOf(dir, 4)), 5000);
  const again = await openNode(t, dir, SEGMENT_BYTES);
  const expected = matchesOf(records, compileGlob('/n/7'));
  for (let round = 0; round < 5; round++) assert.deepEqual((await matching(again, '/n/7', 1, tail)).found, expected);
  await until('every index is whole again', async () => {
    const { steps } = await matching(again, '/n/7', 1, tail);
    return steps.filter((step) => step === 'unindexed').length === unindexed;
  });
  assert.deepEqual(await readFile(indexPath(directoryOf(dir, 2))), sound, 'an index made anew is the same');
  assert.deepEqual(again.failures, []);
});

test('an index without a reader is made again after the scrub has found its damage', async (t) => {
  const { dir, node } = await filled(t, recordsOf(['/a', '/b'], 120));
  assert.ok((await indexed(dir)) >= 2);
  await node.close();
  const path = indexPath(directoryOf(dir, 2));
  const sound = await readFile(path);
  await flip(path, sound.byteLength / 2);
  const again = await openNode(t, dir, SEGMENT_BYTES);
  again.storage.heal({ isAlone: true, fetch: async () => [] });
  await until('it is what it was', async () => sound.equals(await readFile(path)));
});

test("an index of records that can't be read is never made, and the node goes on", async (t) => {
  const chain = new RecordChain();
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, SEGMENT_BYTES);
  // Their payload is no batch.
  for (let round = 0; round < 20; round++) await node.storage.persist(append(chain.addMany(5, { bytes: 300 })));
  const log = node.storage.group(GROUP);
  log.noteCommitted(chain.tail.index);
  assert.equal(await log.search(compileGlob('/a/**')).next(logIndex(1), chain.tail.index), undefined);
  await node.close();
  assert.deepEqual(node.failures, []);
});

async function flip(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, Math.floor(at));
  byte[0] = (byte[0] ?? 0) ^ 0xff;
  await file.write(byte, 0, 1, Math.floor(at));
  await file.close();
}
