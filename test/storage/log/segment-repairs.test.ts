/** Damage inside sealed segments, and what other nodes' copies do for it. */
import assert from 'node:assert/strict';
import { cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type LogIndex, logIndex } from '../../../src/base/index.js';
import type { RecordSource } from '../../../src/group/index.js';
import type { LevelStorage } from '../../../src/storage/index.js';
import type { LogRecord } from '../../../src/wire/index.js';
import { until } from '../../support/until.js';
import { FailingDisk } from '../failing-disk.js';
import {
  append,
  checksums,
  copyOf,
  GROUP,
  groupPath,
  newNode,
  openNode,
  RecordChain,
  readAll,
  scratchDirectory,
  segmentsPath,
  stateAfter,
} from '../fixture.js';

const SEGMENT_BYTES = 8 * 1024;

/** A closed node with several sealed segments, the second of which was turned into a table. */
async function filledNode(t: TestContext): Promise<{ dir: string; chain: RecordChain }> {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, SEGMENT_BYTES);
  const chain = new RecordChain();
  for (let write = 0; write < 30; write++) await node.storage.persist(append(chain.addMany(2, { bytes: 400 })));
  await readAll(node.storage);
  node.storage.group(GROUP).noteCommitted(chain.tail.index);
  await node.close();
  // A start makes the checkpoints that are missing of what is committed.
  await (await openNode(t, dir, SEGMENT_BYTES)).close();
  return { dir, chain };
}

/** Another node's copy. */
function sourceOf(records: readonly LogRecord[]): RecordSource & { readonly asked: LogIndex[] } {
  const asked: LogIndex[] = [];
  return {
    isAlone: false,
    asked,
    fetch: async (_group, from, to) => {
      asked.push(from);
      return records.filter(({ index }) => index >= from && index <= to).slice(0, 5);
    },
  };
}

const ALONE: RecordSource = { isAlone: true, fetch: async () => [] };

const database = (dir: string, segment: number): string =>
  join(segmentsPath(dir), String(segment).padStart(10, '0'), 'db');

async function onFiles(path: string, pattern: RegExp, action: (file: string) => Promise<void>): Promise<void> {
  const names = (await readdir(path)).filter((name) => pattern.test(name));
  assert.ok(names.length > 0, `${path} has ${pattern}`);
  for (const name of names) await action(join(path, name));
}

async function flip(file: string, share: number): Promise<void> {
  const content = await readFile(file);
  const offset = Math.floor(content.length * share);
  content[offset] = (content[offset] ?? 0) ^ 1;
  await writeFile(file, content);
}

const HOLDS_RECORDS = /\.(log|ldb)$/;

const DAMAGES: Readonly<Record<string, (path: string) => Promise<void>>> = {
  'a segment with a flipped byte at its begin': (path) => onFiles(path, HOLDS_RECORDS, (file) => flip(file, 0.02)),
  'a segment with a flipped byte in the middle': (path) => onFiles(path, HOLDS_RECORDS, (file) => flip(file, 0.5)),
  'a segment with records cut in half': (path) =>
    onFiles(path, HOLDS_RECORDS, async (file) => truncate(file, Math.floor((await readFile(file)).length / 2))),
  'a segment with zeros for records': (path) =>
    onFiles(path, HOLDS_RECORDS, async (file) => writeFile(file, Buffer.alloc((await readFile(file)).length))),
  'a segment without record files': (path) => onFiles(path, HOLDS_RECORDS, (file) => rm(file)),
  'a segment without CURRENT': (path) => rm(join(path, 'CURRENT')),
  'a segment with a damaged CURRENT': (path) => flip(join(path, 'CURRENT'), 0.5),
  'a segment with a damaged manifest': (path) => onFiles(path, /^MANIFEST/, (file) => flip(file, 0.5)),
  'a segment without manifest': (path) => onFiles(path, /^MANIFEST/, (file) => rm(file)),
  'a segment without its database': (path) => rm(path, { recursive: true }),
};

for (const [name, damage] of Object.entries(DAMAGES)) {
  test(`${name} heals from another copy, and is refused where there is none`, async (t) => {
    const { dir, chain } = await filledNode(t);
    await damage(database(dir, 2));
    const alone = await openNode(t, await copyOf(t, dir), SEGMENT_BYTES);
    alone.storage.heal(ALONE);
    const held = await servedOf(alone.storage, chain.records.length);
    for (const { index, checksum } of held.records) assert.equal(checksum, chain.records[index - 1]?.checksum);
    if (held.records.length < chain.records.length) assert.match(held.refusals.join(), /flotilla verify/);
    const log = alone.storage.group(GROUP);
    const before = await log.read(logIndex(1), logIndex(chain.records.length), 2 ** 20);
    assert.ok(before.length >= log.cutPoint(logIndex(25)), 'one read reaches from the segment before to the damage');
    await alone.close();

    const node = await openNode(t, dir, SEGMENT_BYTES);
    node.storage.heal(sourceOf(chain.records));
    assert.deepEqual(checksums(await readAll(node.storage)), checksums(chain.records));
    await node.close();
    const again = await openNode(t, dir, SEGMENT_BYTES);
    assert.deepEqual(checksums(await readAll(again.storage)), checksums(chain.records));
    assert.deepEqual(node.failures, []);
  });
}

/** What is served of records 1 to `last`, each asked for by itself, and why the others are not. */
async function servedOf(storage: LevelStorage, last: number): Promise<{ records: LogRecord[]; refusals: string[] }> {
  const records: LogRecord[] = [];
  const refusals: string[] = [];
  for (let index = 1; index <= last; index++) {
    try {
      records.push(...(await storage.group(GROUP).read(logIndex(index), logIndex(index), 1)));
    } catch (error) {
      assert.ok(error instanceof Error && 'code' in error && error.code === 'DATA_LOSS', String(error));
      refusals.push(error.message);
    }
  }
  return { records, refusals };
}

test('a repair fetches no more than what is lost', async (t) => {
  const { dir, chain } = await filledNode(t);
  await DAMAGES['a segment with a flipped byte in the middle']?.(database(dir, 2));
  const node = await openNode(t, dir, SEGMENT_BYTES);
  const source = sourceOf(chain.records);
  node.storage.heal(source);
  const before = node.storage.group(GROUP).cutPoint(logIndex(25));
  assert.ok(before > 0, 'the second segment begins there');
  await readAll(node.storage);
  // What stands before the damage is sound; how much is lost behind it depends on whether LevelDB had made a table of
  // it.
  assert.ok(source.asked.length > 0 && source.asked.every((index) => index > before + 1), `${before}: ${source.asked}`);
});

test("a repair of the log's first segment keeps the checkpoint that could not be made again", async (t) => {
  const { dir, chain } = await filledNode(t);
  const cut = await openNode(t, dir, SEGMENT_BYTES);
  const begin = cut.storage.group(GROUP).cutPoint(logIndex(25));
  assert.ok(begin > 0, 'the second segment begins there');
  await cut.storage.persist([{ group: GROUP, records: [], cutThrough: begin }]);
  await cut.close();
  await DAMAGES['a segment without record files']?.(database(dir, 2));
  const node = await openNode(t, dir, SEGMENT_BYTES);
  node.storage.heal(sourceOf(chain.records));
  const kept = chain.records.slice(begin);
  assert.deepEqual(checksums(await readAll(node.storage)), checksums(kept));
  await node.close();
  const again = await openNode(t, dir, SEGMENT_BYTES);
  assert.deepEqual(
    (await again.storage.group(GROUP).checkpointAt(begin)).state,
    stateAfter(chain.records.slice(0, begin)),
  );
  assert.deepEqual(checksums(await readAll(again.storage)), checksums(kept));
});

test('records of another history are not taken for the lost ones', async (t) => {
  const { dir, chain } = await filledNode(t);
  await DAMAGES['a segment without record files']?.(database(dir, 2));
  const other = new RecordChain();
  other.addMany(chain.records.length, { bytes: 401 });
  const node = await openNode(t, dir, SEGMENT_BYTES);
  node.storage.heal({ ...sourceOf(other.records), isAlone: true });
  const { records, refusals } = await servedOf(node.storage, chain.records.length);
  assert.ok(refusals.length > 0);
  for (const { index, checksum } of records) assert.equal(checksum, chain.records[index - 1]?.checksum);
});

test('the scrub finds and mends what is not read', async (t) => {
  const { dir, chain } = await filledNode(t);
  await DAMAGES['a segment with zeros for records']?.(database(dir, 2));
  const node = await openNode(t, dir, SEGMENT_BYTES);
  const source = sourceOf(chain.records);
  node.storage.heal(source);
  await until('the scrub has come by', () => source.asked.length > 0);
  // A repair that is under way when the node stops is given up.
  await until(
    'what it has put together is in its place',
    async () => !(await readdir(groupPath(dir))).some((name) => name.startsWith('segments-')),
  );
  await node.close();
  const again = await openNode(t, dir, SEGMENT_BYTES);
  assert.deepEqual((await servedOf(again.storage, chain.records.length)).refusals, []);
});

test('a repair that is interrupted anywhere leaves the damaged segment or the whole one', async (t) => {
  const { dir, chain } = await filledNode(t);
  await DAMAGES['a segment without record files']?.(database(dir, 2));
  const outcomes: string[] = [];
  for (let changes = 0; outcomes.at(-1) !== 'done'; changes++) {
    const copy = await copyOf(t, dir);
    const disk = new FailingDisk(Number.POSITIVE_INFINITY);
    const node = await openNode(undefined, copy, SEGMENT_BYTES, disk);
    node.storage.heal({ ...sourceOf(chain.records), isAlone: true });
    disk.changesLeft = changes;
    const done = await readAll(node.storage).then(
      () => true,
      () => false,
    );
    await node.close().catch((error: unknown) => assert.match(String(error), /the process has ended/));
    // What it leaves open stays locked in this process: what it left is looked at elsewhere.
    const left = await scratchDirectory(t);
    await cp(copy, left, { recursive: true });
    const again = await openNode(t, left, SEGMENT_BYTES);
    const { records } = await servedOf(again.storage, chain.records.length);
    for (const { index, checksum } of records) assert.equal(checksum, chain.records[index - 1]?.checksum);
    outcomes.push(done ? 'done' : records.length === chain.records.length ? 'whole' : 'damaged');
    again.storage.heal(sourceOf(chain.records));
    assert.deepEqual(checksums(await readAll(again.storage)), checksums(chain.records), `after ${changes} changes`);
    await again.close();
    assert.deepEqual(
      (await readdir(join(segmentsPath(left), '..'))).filter((name) => name.startsWith('segments-')),
      [],
    );
  }
  t.diagnostic(outcomes.join(' '));
  assert.ok(outcomes.includes('damaged') && outcomes.includes('whole'), outcomes.join(' '));
});
