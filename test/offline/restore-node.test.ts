import assert from 'node:assert/strict';
import { mkdir, readdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { actorId, logIndex } from '../../src/base/index.js';
import { parseEventId } from '../../src/event/index.js';
import { systemClock } from '../../src/group/system-clock.js';
import { BackupFolder } from '../../src/offline/backup-folder.js';
import { type RestoredNode, restoreNode } from '../../src/offline/restore-node.js';
import type { RestorePoint } from '../../src/offline/restore-point.js';
import type { Disk } from '../../src/storage/disk/disk.js';
import { batchesOf, type LogRecord, NodeKey } from '../../src/wire/index.js';
import { FailingDisk } from '../storage/failing-disk.js';
import {
  checksums,
  copyOf,
  GROUP,
  openNode,
  RecordChain,
  readAll,
  scratchDirectory,
  stateAfter,
} from '../storage/fixture.js';
import { until } from '../support/until.js';
import { backUpRecords, StreamLog } from './backup-fixture.js';

const NEW_CLUSTER = 'd'.repeat(32);
const NEW_INCARNATION = 'e'.repeat(32);

/** A log of three nodes, with a change of members in it, backed up. */
async function backedUp(t: TestContext, earlier?: readonly LogRecord[]): Promise<{ log: StreamLog; backup: string }> {
  const backup = await scratchDirectory(t);
  const log = new StreamLog(earlier);
  log.addMany(20, { count: 3, bytes: 100 });
  log.addConfiguration(1, 2, 3, 4);
  log.add(
    { count: 2, actor: 1, timestampMs: 5000 },
    { count: 4, actor: 2, timestampMs: 5000 },
    { count: 1, actor: 3, timestampMs: 6000 },
  );
  log.addMany(10, { timestampMs: 7000 });
  await backUpRecords(backup, log, log.records);
  return { log, backup };
}

async function restore(
  backup: string,
  dataDir: string,
  options: { point?: RestorePoint; disk?: Disk; segmentBytes?: number } = {},
): Promise<RestoredNode> {
  return await restoreNode({
    ...options,
    backup: await BackupFolder.open(backup),
    dataDir,
    actor: actorId(1),
    clusterId: NEW_CLUSTER,
    incarnation: NEW_INCARNATION,
    group: GROUP,
    clock: systemClock,
  });
}

/** Starts a restored node's storage, and gives back what it holds before the membership of the new cluster. */
async function heldBy(t: TestContext, dataDir: string): Promise<{ records: LogRecord[]; begin: number }> {
  const { storage, directory, close } = await openNode(t, dataDir);
  assert.equal(directory.identity.clusterId, NEW_CLUSTER);
  assert.equal(directory.identity.instance, NodeKey.fromSecret(directory.identity.secret).instance);
  const { recovered } = storage.group(GROUP);
  assert.equal(recovered.incarnation, NEW_INCARNATION);
  assert.equal(recovered.commitIndex, recovered.tail.index);
  const records = await readAll(storage);
  const last = records.pop() ?? assert.fail('it ends with the members');
  assert.ok(
    last.kind === 'configuration' && last.term > (records.at(-1)?.term ?? 0) && recovered.hardState.term === last.term,
  );
  const membership = recovered.memberships.at(-1)?.membership;
  assert.deepEqual(membership?.voters, [1]);
  assert.deepEqual(membership.members, [{ actor: 1, instance: directory.identity.instance }]);
  await close();
  return { records, begin: recovered.begin.index };
}

test('a restored node is the only member of a new cluster, with the records as they were', async (t) => {
  const { log, backup } = await backedUp(t);
  const dataDir = join(await scratchDirectory(t), 'new');
  const { begin, tail } = await restore(backup, dataDir);
  assert.deepEqual([begin.index, tail], [0, log.tail]);
  assert.deepEqual(await readdir(dataDir), ['node-1']);
  const held = await heldBy(t, dataDir);
  assert.deepEqual(checksums(held.records), checksums(log.records));
});

test('restoring a log that begins later begins there', async (t) => {
  const earlier = new RecordChain();
  earlier.addMany(500, { term: 2, events: 2 });
  const { log, backup } = await backedUp(t, earlier.records);
  const dataDir = await scratchDirectory(t);
  await restore(backup, dataDir);
  const held = await heldBy(t, dataDir);
  assert.equal(held.begin, 500);
  assert.deepEqual(checksums(held.records), checksums(log.records));
});

test('restoring many segments brings the state of each, and their indexes', async (t) => {
  const earlier = new RecordChain();
  earlier.addMany(50, { term: 2 });
  const { log, backup } = await backedUp(t, earlier.records);
  const dataDir = await scratchDirectory(t);
  await restore(backup, dataDir, { segmentBytes: 1024 });
  const { storage, close } = await openNode(t, dataDir, 1024);
  const stored = storage.group(GROUP);
  const held = await readAll(storage);
  const points = [...new Set(held.map(({ index }) => stored.cutPoint(index)))];
  assert.ok(points.length > 3, `${points}`);
  const all = [...earlier.records, ...held];
  assert.deepEqual(checksums(held.slice(0, -1)), checksums(log.records));
  for (const point of points)
    assert.deepEqual(
      Buffer.from((await stored.checkpointAt(point)).state),
      Buffer.from(stateAfter(all.slice(0, point))),
      `${point}`,
    );
  const everyName = { prefix: '', after: '' };
  const first = logIndex(stored.recovered.begin.index + 1);
  await until(
    'the first segment has its index',
    async () => (await stored.namespaces(first, stored.recovered.tail.index, everyName)) !== undefined,
  );
  await close();
});

test('a restore that is interrupted anywhere leaves no node or the restored one, and can be done again', async (t) => {
  const { log, backup } = await backedUp(t);
  for (let changes = 0, seen = ''; seen !== 'ended'; changes += 3) {
    const dataDir = await scratchDirectory(t);
    seen = await restore(backup, dataDir, { disk: new FailingDisk(changes) }).then(
      () => 'ended',
      (error: unknown) => String(error),
    );
    // What it leaves open stays locked in this process: what it left is looked at elsewhere.
    const left = await copyOf(t, dataDir);
    const names = await readdir(left);
    if (!names.includes('node-1')) await restore(backup, left);
    assert.deepEqual(checksums((await heldBy(t, left)).records), checksums(log.records), `after ${changes} changes`);
    assert.deepEqual(await readdir(left), ['node-1']);
  }
});

test('restoring through an event ends with the batch that holds it', async (t) => {
  const { log, backup } = await backedUp(t);
  const mixed = log.records[21] ?? assert.fail('it has batches of three nodes');
  for (const [point, through, records] of [
    [{ kind: 'event', counter: 7 }, 9, 3],
    [{ kind: 'event', counter: 60 }, 60, 20],
    // The first two of the three batches of a record.
    [{ kind: 'event', counter: 63, id: parseEventId('63.2', '') }, 66, 22],
    [{ kind: 'event', counter: 67, id: parseEventId('67.3', '') }, 67, 22],
    [{ kind: 'time', utcMs: 4999 }, 60, 21],
    [{ kind: 'time', utcMs: 5999 }, 66, 22],
    [{ kind: 'time', utcMs: 7000 }, 77, 32],
  ] as const) {
    const dataDir = await scratchDirectory(t);
    const { tail } = await restore(backup, dataDir, { point });
    assert.equal(tail.nextCounter - 1, through, JSON.stringify(point));
    const held = await heldBy(t, dataDir);
    assert.equal(held.records.length, records);
    assert.deepEqual(checksums(held.records.slice(0, 21)), checksums(log.records.slice(0, Math.min(21, records))));
    const cut = held.records[21];
    if (cut === undefined) continue;
    const kept = batchesOf(cut);
    assert.equal(cut.timeMs, kept.at(-1)?.header.timestampMs);
    assert.deepEqual(
      kept.map(({ bytes }) => Buffer.from(bytes)),
      batchesOf(mixed)
        .slice(0, kept.length)
        .map(({ bytes }) => Buffer.from(bytes)),
    );
  }
});

test('restoring through what is not in the backup is refused, and makes nothing', async (t) => {
  const { backup } = await backedUp(t);
  for (const [point, message] of [
    [{ kind: 'event', counter: 78 }, /the backup has no event 78: it has 1 to 77/],
    [{ kind: 'event', counter: 0 }, /has no event 0/],
    [{ kind: 'event', counter: 63, id: parseEventId('63.1', '') }, /event 63 of the backup is 0{18}6300002/],
    [{ kind: 'time', utcMs: 999 }, /no event that is so old/],
  ] as const) {
    const dataDir = await scratchDirectory(t);
    await assert.rejects(restore(backup, dataDir, { point }), { code: 'INVALID_ARGUMENT', message });
    assert.deepEqual(await readdir(dataDir), []);
  }
});

test('a restore is refused where the node is there already, and where the backup is damaged', async (t) => {
  const { backup } = await backedUp(t);
  const dataDir = await scratchDirectory(t);
  await mkdir(join(dataDir, 'node-1'));
  await assert.rejects(restore(backup, dataDir), { code: 'INVALID_ARGUMENT', message: /is there already/ });
  assert.deepEqual(await readdir(join(dataDir, 'node-1')), []);
  const { files } = (await BackupFolder.open(backup)).requireManifest();
  await truncate(join(backup, files.at(-1)?.name ?? ''), 100);
  const other = await scratchDirectory(t);
  await assert.rejects(restore(backup, other), { code: 'DATA_LOSS' });
  assert.deepEqual(await readdir(other), []);
  await assert.rejects(restore(other, other), /holds no backup/);
});
