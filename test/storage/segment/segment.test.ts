import assert from 'node:assert/strict';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FlotillaError, logIndex } from '../../../src/base/index.js';
import { MACHINES } from '../../../src/cluster/index.js';
import { systemClock } from '../../../src/group/system-clock.js';
import { nodeDisk } from '../../../src/storage/level/node-disk.js';
import { Pace } from '../../../src/storage/namespace-index/index.js';
import { UNOBSERVED } from '../../../src/storage/segment/healing.js';
import { OpenDatabaseCache } from '../../../src/storage/segment/open-database-cache.js';
import { prepareSegment, Segment } from '../../../src/storage/segment/segment.js';
import { databasePath, readFooter } from '../../../src/storage/segment/segment-files.js';
import { EMPTY_LOG_TAIL } from '../../../src/wire/index.js';
import { checksums, GROUP, INCARNATION, membershipOf, RecordChain, scratchDirectory } from '../fixture.js';

async function newSegment(t: TestContext): Promise<Segment> {
  const path = `${await scratchDirectory(t)}/segments`;
  await mkdir(path);
  const onFailure = (error: unknown): void => assert.fail(String(error));
  const openDatabases = new OpenDatabaseCache(systemClock, onFailure);
  const prepared = await prepareSegment(path, 1, {
    disk: nodeDisk,
    clock: systemClock,
    machines: MACHINES,
    segmentBytes: 64 * 1024,
    openDatabases,
    healing: { source: undefined, observer: UNOBSERVED },
    onFailure,
  });
  const segment = await Segment.begin(prepared, {
    group: GROUP,
    incarnation: INCARNATION,
    machine: 'stream',
    before: EMPTY_LOG_TAIL,
    membership: membershipOf(1),
    membershipIndex: logIndex(0),
  });
  t.after(async () => {
    await segment.close();
    openDatabases.stop();
  });
  return segment;
}

test('unsealing removes the footer before anything is written', async (t) => {
  const segment = await newSegment(t);
  const chain = new RecordChain();
  await segment.write(EMPTY_LOG_TAIL, chain.addMany(5));
  await segment.seal();
  assert.deepEqual((await readFooter(nodeDisk, segment.directory))?.tail, chain.tail);
  await segment.unseal();
  assert.equal(await readFooter(nodeDisk, segment.directory), undefined, 'it would call the truncated segment damaged');
  chain.truncate(2);
  const after = chain.tail;
  await segment.write(after, chain.addMany(2, { term: 2 }));
  assert.deepEqual(checksums(await segment.read(logIndex(1), logIndex(4), 1 << 20)), checksums(chain.records));
});

test('unsealing lets no namespace index be made of what is about to be truncated', async (t) => {
  const segment = await newSegment(t);
  const chain = new RecordChain();
  await segment.write(
    EMPTY_LOG_TAIL,
    Array.from({ length: 5 }, () => chain.add({ kind: 'no-op' })),
  );
  await segment.seal();
  const unsealing = segment.unseal();
  // It was sealed a moment ago and has been settled now.
  const indexing = segment.ensureIndex(new Pace(systemClock, () => false)).catch((error: unknown) => {
    assert.ok(error instanceof FlotillaError && error.code === 'CANCELLED', String(error));
  });
  await unsealing;
  chain.truncate(2);
  await segment.write(chain.tail, []);
  await indexing;
  assert.ok(!(await readdir(segment.directory)).includes('namespaces'), 'it would hold what was truncated');
});

test('a sealed segment is read from again after it was closed', async (t) => {
  const segment = await newSegment(t);
  const chain = new RecordChain();
  await segment.write(EMPTY_LOG_TAIL, chain.addMany(5));
  await segment.seal();
  for (let round = 0; round < 3; round++) {
    const [records] = await Promise.all([segment.read(logIndex(1), logIndex(5), 1 << 20), segment.warm()]);
    assert.deepEqual(checksums(records), checksums(chain.records));
    await segment.close();
  }
});

test('settling leaves a table and an empty write-ahead log, so that opening is cheap', async (t) => {
  const { tableBytes, logBytes } = await settled(t, {});
  assert.ok(tableBytes >= 50_000, `${tableBytes}`);
  assert.equal(logBytes, 0);
});

test('settling compresses what can be compressed', async (t) => {
  const { tableBytes, logBytes } = await settled(t, { fill: 65 });
  assert.ok(tableBytes > 0 && tableBytes < 10_000, `${tableBytes}`);
  assert.equal(logBytes, 0);
});

/** Size of a sealed segment that holds 50 records of 1,000 bytes, which are read again besides. */
async function settled(
  t: TestContext,
  payload: { readonly fill?: number },
): Promise<{ tableBytes: number; logBytes: number }> {
  const segment = await newSegment(t);
  const chain = new RecordChain();
  await segment.write(EMPTY_LOG_TAIL, chain.addMany(50, { bytes: 1000, ...payload }));
  await segment.seal();
  await segment.settle();
  const database = databasePath(segment.directory);
  const sizes = await Promise.all(
    (await readdir(database)).map(async (name) => ({ name, bytes: (await stat(join(database, name))).size })),
  );
  const bytesOf = (suffix: string): number =>
    sizes.filter(({ name }) => name.endsWith(suffix)).reduce((sum, { bytes }) => sum + bytes, 0);
  assert.deepEqual(checksums(await segment.read(logIndex(1), logIndex(50), 1 << 20)), checksums(chain.records));
  await segment.close();
  return { tableBytes: bytesOf('.ldb'), logBytes: bytesOf('.log') };
}

test('settling a segment that is unsealed meanwhile leaves it open and writable', async (t) => {
  const segment = await newSegment(t);
  const chain = new RecordChain();
  await segment.write(EMPTY_LOG_TAIL, chain.addMany(5));
  await segment.seal();
  const settling = segment.settle();
  await segment.unseal();
  await segment.write(chain.tail, chain.addMany(2));
  await settling;
  await segment.write(chain.tail, chain.addMany(2));
  assert.deepEqual(checksums(await segment.read(logIndex(1), logIndex(9), 1 << 20)), checksums(chain.records));
});

test('removing a segment waits for readers, and refuses new ones', async (t) => {
  const segment = await newSegment(t);
  const chain = new RecordChain();
  await segment.write(EMPTY_LOG_TAIL, chain.addMany(5));
  const reading = segment.read(logIndex(1), logIndex(5), 1 << 20);
  const removing = segment.remove();
  await assert.rejects(segment.read(logIndex(1), logIndex(5), 1 << 20), /was removed/);
  assert.equal((await reading).length, 5);
  await removing;
});
