import assert from 'node:assert/strict';
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { logIndex, term } from '../../../src/base/index.js';
import { nodeDisk } from '../../../src/storage/level/node-disk.js';
import { MarkerFile } from '../../../src/storage/log/marker-file.js';
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
} from '../fixture.js';

const SEGMENT_BYTES = 8 * 1024;

async function markerIn(dir: string): Promise<number> {
  const marker = await MarkerFile.open(nodeDisk, join(groupPath(dir), 'marker'));
  await marker.close();
  return marker.current.index;
}

test('a truncation that stops half-way has lowered the marker and removed the newest segments first', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, SEGMENT_BYTES);
  const chain = new RecordChain();
  for (let write = 0; write < 33; write++) await node.storage.persist(append(chain.addMany(2, { bytes: 400 })));
  const second = join(segmentsPath(dir), '0000000002');
  // Removing it fails, as if the process had ended there.
  await rename(second, join(dir, 'aside'));
  await assert.rejects(node.storage.persist(append([], 5)));
  await rename(join(dir, 'aside'), second);
  assert.deepEqual(
    (await readdir(segmentsPath(dir))).filter((name) => name < '0000000005').sort(),
    ['0000000001', '0000000002'],
    'the younger ones went before it',
  );
  assert.equal(await markerIn(dir), 5);
  await node.close();
  const again = await openNode(t, dir, SEGMENT_BYTES);
  const records = await readAll(again.storage);
  assert.deepEqual(checksums(records), checksums(chain.records.slice(0, records.length)));
  assert.ok(records.length >= 20);
});

test('the hard state is durable before the records of its term', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  const chain = new RecordChain();
  await node.storage.persist(append(chain.addMany(2)));
  const gap = chain.addMany(2, { term: 5 })[1];
  assert.ok(gap !== undefined);
  await assert.rejects(node.storage.persist(append([gap])), /does not follow/);
  await node.close();
  const { recovered } = (await openNode(t, dir)).storage.group(GROUP);
  assert.equal(recovered.hardState.term, 5);
  assert.equal(recovered.tail.index, 2);
});

test('the marker is exact when a write is answered, however the process ends', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  const chain = new RecordChain();
  for (let write = 1; write <= 50; write++) {
    await node.storage.persist(append(chain.addMany(1)));
    assert.equal(await markerIn(await copyOf(t, dir)), write);
  }
});

test('a read beside truncations never takes them for damage', async (t) => {
  const node = await newNode(t, await scratchDirectory(t), SEGMENT_BYTES);
  const chain = new RecordChain();
  await node.storage.persist(append(chain.addMany(10, { bytes: 400 })));
  const log = node.storage.group(GROUP);
  let writing = true;
  let reads = 0;
  const reader = async (from: number): Promise<void> => {
    for (; writing; reads++) {
      const records = await log.read(logIndex(from), logIndex(1000), 1 << 20);
      for (const [position, record] of records.entries()) assert.equal(record.index, from + position);
      const [first] = records;
      if (first !== undefined) await log.indexOfCounter(first.firstCounter);
      // An empty answer comes without any I/O: let the writer have its turn.
      await setImmediate();
    }
  };
  const readers = [1, 8, 11, 25, 40].map(reader);
  for (let round = 0; round < 8; round++) {
    for (let write = 0; write < 8; write++)
      await node.storage.persist(append(chain.addMany(3, { term: round + 1, bytes: 400 })));
    const keep = 3 + round;
    chain.truncate(keep);
    await node.storage.persist(append(chain.addMany(1, { term: round + 2 }), keep));
  }
  writing = false;
  await Promise.all(readers);
  assert.ok(reads > 50, `${reads} reads`);
  assert.deepEqual(node.failures, []);
});

test('what noteCommitted is told reaches the marker only as far as the log is durable', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  const chain = new RecordChain();
  node.storage.group(GROUP).noteCommitted(logIndex(99));
  await node.storage.persist([
    { group: GROUP, records: chain.addMany(3), hardState: { term: term(1), vote: undefined } },
  ]);
  await node.close();
  assert.equal((await openNode(t, dir)).storage.group(GROUP).recovered.commitIndex, 3);
});
