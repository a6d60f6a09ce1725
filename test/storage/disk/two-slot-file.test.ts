import assert from 'node:assert/strict';
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { actorId, logIndex, term } from '../../../src/base/index.js';
import { TwoSlotFile } from '../../../src/storage/disk/two-slot-file.js';
import { HardStateFile } from '../../../src/storage/group/hard-state-file.js';
import { nodeDisk } from '../../../src/storage/level/node-disk.js';
import { MarkerFile } from '../../../src/storage/log/marker-file.js';
import { scratchDirectory } from '../fixture.js';

const SLOTS = [0, 4096];

async function flip(path: string, offset: number): Promise<void> {
  const content = await readFile(path);
  content[offset] = (content[offset] ?? 0) ^ 0x10;
  await writeFile(path, content);
}

async function contentOf(path: string): Promise<string> {
  const file = await TwoSlotFile.open(nodeDisk, path);
  await file.close();
  return Buffer.from(file.recovered).toString();
}

test('the newest valid slot wins over an older one', async (t) => {
  const path = join(await scratchDirectory(t), 'slots');
  await TwoSlotFile.create(nodeDisk, path, Buffer.from('zero'));
  const file = await TwoSlotFile.open(nodeDisk, path);
  for (const text of ['one', 'two', 'three']) {
    await file.writeOlder(Buffer.from(text));
    assert.equal(await contentOf(path), text);
  }
  await file.close();
});

test('a torn write of the older slot leaves the one before', async (t) => {
  const path = join(await scratchDirectory(t), 'slots');
  await TwoSlotFile.create(nodeDisk, path, Buffer.from('zero'));
  const file = await TwoSlotFile.open(nodeDisk, path);
  await file.writeOlder(Buffer.from('one'));
  await file.writeOlder(Buffer.from('two'));
  await file.close();
  const content = await readFile(path);
  const newest = SLOTS.find((offset) => content.toString('latin1', offset + 16, offset + 19) === 'two');
  assert.ok(newest !== undefined);
  await flip(path, newest + 17);
  assert.equal(await contentOf(path), 'one');
  // It goes on over the damaged slot, not over the only good one.
  const again = await TwoSlotFile.open(nodeDisk, path);
  await again.writeOlder(Buffer.from('six'));
  await again.close();
  assert.equal((await readFile(path)).toString('latin1', newest + 16, newest + 19), 'six');
  assert.equal(await contentOf(path), 'six');
});

test('every flipped bit of a slot is noticed', async (t) => {
  const path = join(await scratchDirectory(t), 'slots');
  await TwoSlotFile.create(nodeDisk, path, Buffer.from('content'));
  const sound = await readFile(path);
  for (let offset = 0; offset < 16 + 7 + 4; offset++) {
    await writeFile(path, sound);
    await flip(path, offset);
    const file = await TwoSlotFile.open(nodeDisk, path);
    await file.close();
    assert.equal(file.agreed, false, `byte ${offset}`);
    assert.equal(Buffer.from(file.recovered).toString(), 'content');
    await flip(path, 4096 + offset);
    await assert.rejects(TwoSlotFile.open(nodeDisk, path), { code: 'DATA_LOSS' });
  }
});

test('a missing, empty or cut file is DATA_LOSS', async (t) => {
  const path = join(await scratchDirectory(t), 'slots');
  await TwoSlotFile.create(nodeDisk, path, Buffer.from('content'));
  await truncate(path, 4096);
  assert.equal(await contentOf(path), 'content', 'one slot is left');
  await truncate(path, 20);
  await assert.rejects(TwoSlotFile.open(nodeDisk, path), { code: 'DATA_LOSS' });
  await truncate(path, 0);
  await assert.rejects(TwoSlotFile.open(nodeDisk, path), { code: 'DATA_LOSS' });
  await rm(path);
  await assert.rejects(TwoSlotFile.open(nodeDisk, path), { code: 'DATA_LOSS', message: /missing/ });
});

test('no single damaged slot rolls the hard state back', async (t) => {
  const path = join(await scratchDirectory(t), 'hard-state');
  await HardStateFile.create(nodeDisk, path, { term: term(0), vote: undefined });
  for (let round = 1; round <= 4; round++) {
    const file = await HardStateFile.open(nodeDisk, path);
    await file.write({ term: term(round), vote: undefined });
    await file.write({ term: term(round), vote: actorId(round) });
    await file.close();
    const sound = await readFile(path);
    for (const slot of SLOTS) {
      await writeFile(path, sound);
      await flip(path, slot + 16);
      const damaged = await HardStateFile.open(nodeDisk, path);
      assert.deepEqual(damaged.current, { term: round, vote: round });
      await damaged.close();
      // Opening has made two copies of it again.
      await flip(path, slot === 0 ? 4096 + 16 : 16);
      const again = await HardStateFile.open(nodeDisk, path);
      assert.deepEqual(again.current, { term: round, vote: round });
      await again.close();
    }
  }
});

test('a crash between the two writes of the hard state leaves one of both states', async (t) => {
  const path = join(await scratchDirectory(t), 'hard-state');
  await HardStateFile.create(nodeDisk, path, { term: term(4), vote: undefined });
  const slots = await TwoSlotFile.open(nodeDisk, path);
  const payload = Buffer.from(slots.recovered);
  payload[0] = 5;
  await slots.writeOlder(payload);
  await slots.close();
  const file = await HardStateFile.open(nodeDisk, path);
  assert.equal(file.current.term, 5, 'the newer valid slot wins');
  await file.close();
});

test('a second vote in a term breaks an invariant', async (t) => {
  const path = join(await scratchDirectory(t), 'hard-state');
  await HardStateFile.create(nodeDisk, path, { term: term(4), vote: actorId(1) });
  const file = await HardStateFile.open(nodeDisk, path);
  t.after(() => file.close());
  await assert.rejects(file.write({ term: term(4), vote: actorId(2) }), /second vote/);
  await assert.rejects(file.write({ term: term(4), vote: undefined }), /second vote/);
  await assert.rejects(file.write({ term: term(3), vote: undefined }), /went back/);
  assert.deepEqual(file.current, { term: 4, vote: 1 });
});

test('a lowered marker is written to both slots', async (t) => {
  const path = join(await scratchDirectory(t), 'marker');
  const at = (index: number): Parameters<MarkerFile['advance']>[0] => ({
    index: logIndex(index),
    term: term(1),
    checksum: 7 * index,
    commitIndex: logIndex(1),
    beginIndex: logIndex(0),
    lastSequence: 2 ** 40,
  });
  await MarkerFile.create(nodeDisk, path, at(1));
  const file = await MarkerFile.open(nodeDisk, path);
  await file.advance(at(8));
  await file.advance(at(9));
  await file.lower(at(5));
  await file.close();
  const sound = await readFile(path);
  for (const slot of SLOTS) {
    await writeFile(path, sound);
    await flip(path, slot + 20);
    const again = await MarkerFile.open(nodeDisk, path);
    assert.deepEqual(again.current, at(5), 'with either slot damaged, nothing vouches for what was truncated');
    await again.close();
  }
});
