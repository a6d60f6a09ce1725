import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ClassicLevel } from 'classic-level';
import { actorId, logIndex, term } from '../../../src/base/index.js';
import { HardStateFile } from '../../../src/storage/group/hard-state-file.js';
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

/** A closed node whose log holds `chain`, in several segments where `writes` is large. */
async function written(t: TestContext, writes: number): Promise<{ dir: string; chain: RecordChain }> {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, SEGMENT_BYTES);
  const chain = new RecordChain();
  for (let write = 0; write < writes; write++)
    await node.storage.persist(append(chain.addMany(2, { term: 1 + Math.floor(write / 5), bytes: 400 })));
  await node.close();
  return { dir, chain };
}

async function segmentsOf(dir: string): Promise<string[]> {
  const names = (await readdir(segmentsPath(dir))).sort();
  return names.map((name) => join(segmentsPath(dir), name));
}

async function editDatabase(
  segment: string,
  edit: (level: ClassicLevel<Buffer, Buffer>) => Promise<void>,
): Promise<void> {
  const level = new ClassicLevel<Buffer, Buffer>(join(segment, 'db'), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    createIfMissing: false,
  });
  await edit(level);
  await level.close();
}

function keyOf(index: number): Buffer {
  const key = Buffer.alloc(8);
  key.writeBigUInt64BE(BigInt(index));
  return key;
}

async function writeAheadLogOf(segment: string): Promise<string> {
  const name = (await readdir(join(segment, 'db'))).find((file) => file.endsWith('.log'));
  assert.ok(name !== undefined);
  return join(segment, 'db', name);
}

async function refuses(t: TestContext, dir: string, message: RegExp | undefined, what: string): Promise<void> {
  await assert.rejects(
    openNode(t, dir, SEGMENT_BYTES),
    message === undefined ? { code: 'DATA_LOSS' } : { code: 'DATA_LOSS', message },
    what,
  );
}

async function opensWhole(t: TestContext, dir: string, chain: RecordChain): Promise<void> {
  const node = await openNode(t, dir, SEGMENT_BYTES);
  assert.deepEqual(node.storage.group(GROUP).recovered.tail, chain.tail);
  assert.deepEqual(checksums(await readAll(node.storage)), checksums(chain.records));
  const more = chain.addMany(12, { bytes: 700 });
  await node.storage.persist(append(more));
  assert.deepEqual(checksums(await readAll(node.storage)), checksums(chain.records));
  await node.close();
}

test('every record of the open segment that is flipped, lost or swapped is noticed', async (t) => {
  const { dir, chain } = await written(t, 4);
  const count = chain.records.length;
  for (let index = 1; index <= count; index++) {
    for (const fault of ['flip', 'lose', 'swap'] as const) {
      const copy = await copyOf(t, dir);
      const [segment = ''] = await segmentsOf(copy);
      await editDatabase(segment, async (level) => {
        const value = Buffer.from((await level.get(keyOf(index))) ?? []);
        if (fault === 'lose') await level.del(keyOf(index));
        if (fault === 'swap')
          await level.put(keyOf(index), (await level.get(keyOf(index === 1 ? 2 : 1))) ?? Buffer.alloc(0));
        if (fault === 'flip') {
          const offset = (index * 61) % value.length;
          value[offset] = (value[offset] ?? 0) ^ 4;
          await level.put(keyOf(index), value);
        }
      });
      await refuses(t, copy, /group 1/, `${fault} ${index}`);
    }
  }
});

test('a record of another history in the open segment is noticed', async (t) => {
  const { dir } = await written(t, 4);
  const other = new RecordChain();
  other.addMany(8, { bytes: 390 });
  const [segment = ''] = await segmentsOf(dir);
  await editDatabase(segment, (level) => level.put(keyOf(5), Buffer.from(other.records[4]?.bytes ?? [])));
  await refuses(t, dir, /record 5 .* does not continue/, 'another history');
});

test('bytes in the open segment that are no record are noticed', async (t) => {
  const { dir, chain } = await written(t, 3);
  const [segment = ''] = await segmentsOf(dir);
  await editDatabase(segment, (level) => level.put(keyOf(chain.tail.index + 1), Buffer.from('noise')));
  await refuses(t, dir, /record 7 .* damaged/, 'LevelDB writes whole batches or none: this is no torn write');
});

test('a write-ahead log that is cut, deleted or flipped below the marker is DATA_LOSS', async (t) => {
  const { dir } = await written(t, 4);
  const segments = await segmentsOf(dir);
  const path = await writeAheadLogOf(segments.at(-1) ?? '');
  const relative = path.slice(dir.length);
  const size = (await readFile(path)).length;
  assert.ok(size > 800, 'the open segment has records');
  for (let offset = 0; offset < size; offset += 211) {
    const flipped = await copyOf(t, dir);
    const content = await readFile(join(flipped, relative));
    content[offset] = (content[offset] ?? 0) ^ 0x20;
    await writeFile(join(flipped, relative), content);
    await refuses(t, flipped, undefined, `byte ${offset} flipped`);
    const cut = await copyOf(t, dir);
    await truncate(join(cut, relative), offset);
    await refuses(t, cut, /ends with record|marker/, `cut at ${offset}`);
  }
  const deleted = await copyOf(t, dir);
  await rm(join(deleted, relative));
  await refuses(t, deleted, undefined, 'deleted');
});

test('a write-ahead log that is torn after the marker is cut there', async (t) => {
  const { dir, chain } = await written(t, 3);
  const node = await openNode(t, dir, SEGMENT_BYTES);
  const before = await copyOf(t, dir);
  await node.storage.persist(append(chain.addMany(1)));
  await node.close();
  // The marker as it was one write group ago, and the last write torn in the middle.
  await cp(join(groupPath(before), 'marker'), join(groupPath(dir), 'marker'));
  const [segment = ''] = await segmentsOf(dir);
  const path = await writeAheadLogOf(segment);
  await truncate(path, (await readFile(path)).length - 20);
  chain.truncate(6);
  await opensWhole(t, dir, chain);
});

test('a database without CURRENT, or without files, is not taken for an empty one', async (t) => {
  const { dir } = await written(t, 3);
  for (const what of ['db/CURRENT', 'db']) {
    const copy = await copyOf(t, dir);
    const [segment = ''] = await segmentsOf(copy);
    await rm(join(segment, what), { recursive: true });
    await refuses(t, copy, undefined, what);
  }
});

test('each segment that is missing is noticed', async (t) => {
  const { dir } = await written(t, 33);
  const count = (await segmentsOf(dir)).length;
  assert.ok(count >= 4);
  for (let position = 0; position < count; position++) {
    const copy = await copyOf(t, dir);
    const segments = await segmentsOf(copy);
    const victim = segments[position] ?? '';
    // The one that was opened ahead may go: it holds nothing.
    if (!(await readdir(victim)).includes('header')) continue;
    await rm(victim, { recursive: true });
    await refuses(t, copy, undefined, victim);
  }
});

test('a segment that was copied over another is noticed', async (t) => {
  const { dir } = await written(t, 33);
  const [first = '', second = ''] = await segmentsOf(dir);
  await rm(second, { recursive: true });
  await cp(first, second, { recursive: true });
  await refuses(t, dir, /copied or renamed/, 'copied');
});

test('a missing or damaged footer is rebuilt', async (t) => {
  const { dir, chain } = await written(t, 33);
  for (const damage of ['missing', 'damaged'] as const) {
    const copy = await copyOf(t, dir);
    const [first = '', second = ''] = await segmentsOf(copy);
    const before = await readFile(join(second, 'footer'), 'utf8');
    for (const path of [join(first, 'footer'), join(second, 'footer')]) {
      if (damage === 'missing') await rm(path);
      else await writeFile(path, before.replace('"bytes":', '"bytes":9'));
    }
    const copied = new RecordChain();
    copied.records.push(...chain.records);
    await opensWhole(t, copy, copied);
    assert.equal(await readFile(join(second, 'footer'), 'utf8'), before, 'the same as the one that was lost');
  }
});

test('damage in a sealed segment bars reading it, and not the start', async (t) => {
  const { dir } = await written(t, 33);
  const [, second = ''] = await segmentsOf(dir);
  const header: { before: { index: number } } = JSON.parse(
    (await readFile(join(second, 'header'), 'utf8')).split('\n')[0] ?? '',
  );
  const victim = header.before.index + 2;
  await editDatabase(second, (level) => level.del(keyOf(victim)));
  const node = await openNode(t, dir, SEGMENT_BYTES);
  const log = node.storage.group(GROUP);
  const damage = { code: 'DATA_LOSS', message: new RegExp(`group 1: record ${victim} in .*0000000002: it is missing`) };
  await assert.rejects(log.read(logIndex(victim), logIndex(victim), 1), damage);
  assert.equal(
    (await log.read(logIndex(1), logIndex(victim + 3), 1 << 20)).length,
    victim - 1,
    'what stands before the damage is served',
  );
  assert.equal((await log.read(logIndex(1), logIndex(3), 1 << 20)).length, 3);
  assert.equal(node.failures.length, 0);
});

test('a sealed segment without its database bars reading it, and not the start', async (t) => {
  const { dir } = await written(t, 33);
  const [, second = ''] = await segmentsOf(dir);
  await rm(join(second, 'db'), { recursive: true });
  const node = await openNode(t, dir, SEGMENT_BYTES);
  await assert.rejects(readAll(node.storage), { code: 'DATA_LOSS' });
  assert.equal(node.failures.length, 0);
});

test('a missing header over records is DATA_LOSS', async (t) => {
  const { dir } = await written(t, 33);
  for (const segment of await segmentsOf(dir)) {
    if (!(await readdir(segment)).includes('header')) continue;
    const copy = await copyOf(t, dir);
    await rm(join(copy, segment.slice(dir.length), 'header'));
    await refuses(t, copy, undefined, segment);
  }
});

test('a marker that points at another record is DATA_LOSS', async (t) => {
  const { dir, chain } = await written(t, 3);
  const marker = await MarkerFile.open(nodeDisk, join(groupPath(dir), 'marker'));
  await marker.advance({ ...marker.current, checksum: marker.current.checksum ^ 1 });
  await marker.close();
  await refuses(t, dir, new RegExp(`another record ${chain.tail.index}`), 'checksum');
});

test('a marker inside a sealed segment is checked there', async (t) => {
  const { dir, chain } = await written(t, 33);
  const place = chain.records[6];
  assert.ok(place !== undefined);
  const { index, term, checksum } = place;
  for (const [wrong, accepted] of [[0, true] as const, [1, false] as const]) {
    const copy = await copyOf(t, dir);
    const marker = await MarkerFile.open(nodeDisk, join(groupPath(copy), 'marker'));
    await marker.lower({ ...marker.current, index, term, checksum: checksum + wrong });
    await marker.close();
    if (accepted) await (await openNode(t, copy, SEGMENT_BYTES)).close();
    else await refuses(t, copy, /another record 7/, 'sealed');
  }
});

test('a hard state that was rolled back behind the log is DATA_LOSS', async (t) => {
  const { dir } = await written(t, 12);
  const path = join(groupPath(dir), 'hard-state');
  await rm(path);
  await refuses(t, dir, /hard-state is missing/, 'missing');
  await HardStateFile.create(nodeDisk, path, { term: term(2), vote: actorId(1) });
  await refuses(t, dir, /term 3 and the hard state only term 2/, 'rolled back');
});

test('a start removes what a crash left', async (t) => {
  const { dir, chain } = await written(t, 10);
  await mkdir(join(segmentsPath(dir), 'removed-0000000009', 'db'), { recursive: true });
  await mkdir(join(segmentsPath(dir), '0000000099', 'db'), { recursive: true });
  await mkdir(join(dir, 'node-1', 'groups', '5.new'));
  await mkdir(join(dir, 'node-1', 'groups', 'removed-4'));
  await opensWhole(t, dir, chain);
  const names = await readdir(segmentsPath(dir));
  assert.ok(!names.includes('removed-0000000009') && !names.includes('0000000099'), names.join());
  assert.deepEqual(await readdir(join(dir, 'node-1', 'groups')), ['1']);
});

test('every step of a truncation that crashes leaves a prefix of the log', async (t) => {
  const { dir, chain } = await written(t, 33);
  const keep = 4;
  const place = chain.records[keep - 1];
  assert.ok(place !== undefined);
  const marker = await MarkerFile.open(nodeDisk, join(groupPath(dir), 'marker'));
  await marker.lower({ ...marker.current, index: place.index, term: place.term, checksum: place.checksum });
  await marker.close();
  const opens = async (): Promise<number> => {
    const copy = await copyOf(t, dir);
    const node = await openNode(t, copy, SEGMENT_BYTES);
    const records = await readAll(node.storage);
    assert.deepEqual(checksums(records), checksums(chain.records.slice(0, records.length)));
    assert.ok(records.length >= keep);
    // The truncation comes again, with what the leader has instead.
    const other = new RecordChain();
    other.records.push(...chain.records.slice(0, keep));
    await node.storage.persist(append(other.addMany(3, { term: 90 }), keep));
    assert.deepEqual(checksums(await readAll(node.storage)), checksums(other.records));
    await node.close();
    const again = await openNode(t, copy, SEGMENT_BYTES);
    assert.deepEqual(again.storage.group(GROUP).recovered.tail, other.tail);
    await again.close();
    return records.length;
  };
  const lengths = [await opens()];
  const segments = await segmentsOf(dir);
  for (const segment of segments.slice(1).reverse()) {
    await rename(segment, join(segmentsPath(dir), `removed-${segment.slice(-10)}`));
    lengths.push(await opens());
  }
  await rm(join(segments[0] ?? '', 'footer'));
  lengths.push(await opens());
  assert.equal(lengths[0], chain.records.length);
  assert.deepEqual(
    lengths,
    [...lengths].sort((a, b) => b - a),
  );
});

test('a crash in a truncation without the lowered marker is DATA_LOSS', async (t) => {
  const { dir } = await written(t, 33);
  for (const segment of (await segmentsOf(dir)).slice(1)) await rm(segment, { recursive: true });
  await refuses(t, dir, /the marker|its footer/, 'a shorter log');
});

test('the footer of the youngest segment vouches for its records', async (t) => {
  const { dir, chain } = await written(t, 33);
  const segments = await segmentsOf(dir);
  const [first = ''] = segments;
  const footerTail: { tail: { index: number; term: number; checksum: number } } = JSON.parse(
    (await readFile(join(first, 'footer'), 'utf8')).split('\n')[0] ?? '',
  );
  for (const segment of segments.slice(1)) await rm(segment, { recursive: true });
  const marker = await MarkerFile.open(nodeDisk, join(groupPath(dir), 'marker'));
  await marker.lower({ ...marker.current, index: logIndex(0), term: term(0), checksum: 0 });
  await marker.close();
  const whole = await copyOf(t, dir);
  await (await openNode(t, whole, SEGMENT_BYTES)).close();
  await editDatabase(first, (level) => level.del(keyOf(footerTail.tail.index)));
  await refuses(t, dir, /its footer says/, 'the last record is gone');
  assert.ok(chain.records.length > footerTail.tail.index);
});
