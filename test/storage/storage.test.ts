/** What is peculiar to `LevelStorage`; what every storage promises is in test/contract. */
import assert from 'node:assert/strict';
import { readdir, rename } from 'node:fs/promises';
import { test } from 'node:test';
import { actorId, FlotillaError, groupId, term } from '../../src/base/index.js';
import {
  append,
  checksums,
  GROUP,
  membershipOf,
  newNode,
  openNode,
  RecordChain,
  readAll,
  scratchDirectory,
  segmentsPath,
} from './fixture.js';

const KiB = 1024;

test('segments that are rolled continue one another', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, 8 * KiB);
  const chain = new RecordChain();
  for (let term = 1; term <= 8; term++) {
    if (term === 4) await node.storage.persist(append([chain.add({ term, membership: membershipOf(1, 2, 3) })]));
    for (let write = 0; write < 6; write++) await node.storage.persist(append(chain.addMany(3, { term, bytes: 300 })));
  }
  assert.deepEqual(checksums(await readAll(node.storage, 5000)), checksums(chain.records));
  await node.close();
  assert.ok((await readdir(segmentsPath(dir))).length >= 6, 'the log has rolled');

  const { storage } = await openNode(t, dir, 8 * KiB);
  const { recovered } = storage.group(GROUP);
  assert.deepEqual(
    recovered.termStarts,
    [1, 2, 3, 4, 5, 6, 7, 8].map((term) => ({
      term,
      index: chain.records.find((record) => record.term === term)?.index,
    })),
  );
  assert.deepEqual(
    recovered.memberships.map(({ index }) => index),
    [0, 55],
  );
  assert.deepEqual(checksums(await readAll(storage)), checksums(chain.records));
});

test('the sequence of a segment is never used again', async (t) => {
  const dir = await scratchDirectory(t);
  let node = await newNode(t, dir, 8 * KiB);
  const chain = new RecordChain();
  const used = new Set<string>();
  for (let round = 0; round < 3; round++) {
    const before = await readdir(segmentsPath(dir));
    for (let write = 0; write < 8; write++)
      await node.storage.persist(append(chain.addMany(4, { term: round + 1, bytes: 600 })));
    const names = (await readdir(segmentsPath(dir))).filter((name) => !before.includes(name));
    for (const name of names) assert.ok(!used.has(name), `${name} is new`);
    for (const name of names) used.add(name);
    chain.truncate(1);
    await node.storage.persist(append([], 1));
    await node.close();
    node = await openNode(t, dir, 8 * KiB);
  }
  assert.ok(used.size >= 5, `only ${used.size} new segments: this showed nothing`);
});

test('waiting calls of persist share a write, and each is durable', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, 32 * KiB);
  const chain = new RecordChain();
  const order: number[] = [];
  await Promise.all(
    chain.addMany(500).map((record) => node.storage.persist(append([record])).then(() => order.push(record.index))),
  );
  assert.deepEqual(
    order,
    chain.records.map(({ index }) => index),
  );
  await node.close();
  const again = await openNode(t, dir);
  assert.deepEqual(checksums(await readAll(again.storage)), checksums(chain.records));
});

test('one call of persist writes several groups', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  await node.storage.createGroup({
    group: groupId(7),
    incarnation: 'f'.repeat(32),
    machine: 'stream',
    membership: membershipOf(1),
  });
  const [first, second] = [new RecordChain(), new RecordChain()];
  const hardState = { term: term(1), vote: actorId(1) };
  await node.storage.persist([
    { group: GROUP, records: first.addMany(2), hardState },
    { group: groupId(7), records: second.addMany(3), hardState },
  ]);
  await node.close();
  const again = await openNode(t, dir);
  assert.deepEqual(again.storage.groups(), [1, 7]);
  assert.deepEqual(again.storage.group(GROUP).recovered.tail, first.tail);
  assert.deepEqual(again.storage.group(groupId(7)).recovered.tail, second.tail);
  assert.throws(() => again.storage.group(groupId(8)), { code: 'NOT_FOUND' });
  await assert.rejects(again.storage.persist([{ group: groupId(8), records: [] }]), { code: 'NOT_FOUND' });
  assert.equal(again.failures.length, 0);
});

test('the first failed write ends everything', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, 4 * KiB);
  const chain = new RecordChain();
  await node.storage.persist(append(chain.addMany(1)));
  // The next segment can't be made any more.
  await rename(segmentsPath(dir), `${segmentsPath(dir)}-gone`);
  let failed: unknown;
  while (failed === undefined)
    await node.storage.persist(append(chain.addMany(1, { bytes: 1000 }))).catch((error: unknown) => (failed = error));
  assert.ok(failed instanceof FlotillaError);
  const later = await node.storage.persist(append(chain.addMany(1))).catch((error: unknown) => error);
  assert.equal(later, failed, 'every later call fails with the same error');
  assert.deepEqual(node.failures, [failed], 'onFailure is called once');
});

test('createGroup replaces a group that an interrupted formation has left', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await openNode(t, dir);
  await node.storage.createGroup({
    group: GROUP,
    incarnation: 'a'.repeat(32),
    machine: 'stream',
    membership: membershipOf(1),
  });
  await node.close();
  const again = await openNode(t, dir);
  const log = await again.storage.createGroup({
    group: GROUP,
    incarnation: 'b'.repeat(32),
    machine: 'stream',
    membership: membershipOf(1, 2),
  });
  assert.equal(log.recovered.incarnation, 'b'.repeat(32));
  await again.directory.joinCluster('d'.repeat(32));
  await assert.rejects(
    again.storage.createGroup({
      group: GROUP,
      incarnation: 'c'.repeat(32),
      machine: 'stream',
      membership: membershipOf(1),
    }),
    /exists already/,
  );
});

test('close finishes what was asked for', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  const chain = new RecordChain();
  const written = node.storage.persist(append(chain.addMany(5)));
  await node.close();
  await written;
  await assert.rejects(node.storage.persist(append(chain.addMany(1))), { code: 'SHUTTING_DOWN' });
});
