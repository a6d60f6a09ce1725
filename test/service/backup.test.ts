import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logIndex } from '../../src/base/index.js';
import { BackupUseCases, type LogPart, type LogRequest, type LogStarted } from '../../src/service/backup.js';
import { unrestricted } from '../../src/service/index.js';
import { decodeCheckpoint, type LogTail, openRecord, tailAfter } from '../../src/wire/index.js';
import { newReading } from '../support/reading.js';
import { batch, type Fate, fateOf, StreamCluster } from '../support/stream-cluster.js';

const CLUSTER_ID = 'c'.repeat(32);

/** What a node sent of its log. */
interface Sent {
  readonly started: Omit<LogStarted, 'kind'> | undefined;
  readonly checkpoint: Buffer;
  readonly indexes: readonly number[];
  readonly tail: LogTail | undefined;
  readonly fate: Fate<unknown>;
}

/** Asks a node for its log. */
async function readLog(cluster: StreamCluster, actor: number, request: Partial<LogRequest> = {}): Promise<Sent> {
  const sent: LogPart[] = [];
  const sink = {
    send: (part: LogPart): undefined => {
      sent.push(part);
    },
  };
  const { stream, storage } = cluster.server(actor);
  const backups = new BackupUseCases({
    streams: { find: () => stream, leaderAddress: () => undefined, memberAddresses: () => [] },
    clusterId: () => CLUSTER_ID,
    storage,
    reading: newReading(),
  });
  const { signal } = new AbortController();
  const fate = fateOf(backups.readLog(unrestricted('test'), { stream: '', ...request }, sink, signal));
  await cluster.settle();
  if (fate.state === 'pending') await cluster.advance(3000);
  const records = sent.flatMap((part) => (part.kind === 'records' ? part.records.map(openRecord) : []));
  const last = records.at(-1);
  return {
    started: sent[0]?.kind === 'started' ? sent[0] : undefined,
    checkpoint: Buffer.concat(sent.flatMap((part) => (part.kind === 'checkpoint' ? [part.piece] : []))),
    indexes: records.map(({ index }) => index),
    tail: last === undefined ? undefined : tailAfter(last),
    fate,
  };
}

async function produced(count: number): Promise<StreamCluster> {
  const cluster = new StreamCluster([1, 2, 3]);
  await cluster.elect(1);
  for (let at = 0; at < count; at++) await produce(cluster);
  return cluster;
}

async function produce(cluster: StreamCluster): Promise<void> {
  const fate = fateOf(cluster.stream(1).submit(batch(3)));
  await cluster.settle();
  assert.equal(fate.state, 'resolved');
  await cluster.commitIsKnown();
}

test('readLog at any node is the whole log up to what a majority has confirmed', async () => {
  const cluster = await produced(5);
  for (const actor of [1, 2, 3]) {
    const { started, checkpoint, indexes, fate } = await readLog(cluster, actor);
    assert.deepEqual(fate, { state: 'resolved', value: undefined });
    const { commitIndex, incarnation } = cluster.stream(actor).group;
    assert.deepEqual(started, {
      kind: 'started',
      clusterId: CLUSTER_ID,
      incarnation,
      throughIndex: commitIndex,
      confirmed: true,
      checkpointBytes: checkpoint.byteLength,
    });
    assert.equal(decodeCheckpoint(checkpoint).before.index, 0);
    assert.deepEqual(indexes, [1, 2, 3, 4, 5, 6]);
  }
});

test('readLog after a position is what is new, without a checkpoint', async () => {
  const cluster = await produced(2);
  const { tail } = await readLog(cluster, 2);
  assert.ok(tail !== undefined);
  await produce(cluster);
  for (const actor of [1, 2, 3]) {
    const { started, indexes } = await readLog(cluster, actor, {
      after: tail,
      incarnation: cluster.stream(1).group.incarnation,
    });
    assert.deepEqual([indexes, started?.checkpointBytes], [[tail.index + 1], 0]);
  }
});

test('readLog without a majority is what the node knows to be committed, and says so', async () => {
  const cluster = await produced(2);
  const { tail } = await readLog(cluster, 1);
  assert.ok(tail !== undefined);
  cluster.cut(3);
  const { started, indexes } = await readLog(cluster, 3);
  assert.deepEqual([started?.confirmed, indexes], [false, [1, 2, 3]]);
  // It may only be behind; whether the record is the stream's, it can't say.
  const { fate } = await readLog(cluster, 3, { after: { ...tail, index: logIndex(tail.index + 1) } });
  assert.equal(fate.code, 'NOT_READY');
});

test('readLog after what is no record of the stream is refused', async () => {
  const cluster = await produced(3);
  const { tail } = await readLog(cluster, 1);
  assert.ok(tail !== undefined);
  for (const after of [
    { ...tail, checksum: tail.checksum ^ 1 },
    { ...tail, term: tail.term + 1 },
    { ...tail, index: tail.index - 1 },
    { ...tail, index: tail.index + 1 },
  ]) {
    assert.equal((await readLog(cluster, 2, { after })).fate.code, 'POSITION_MISMATCH', JSON.stringify(after));
  }
  assert.equal((await readLog(cluster, 2, { incarnation: 'f'.repeat(32) })).fate.code, 'POSITION_MISMATCH');
});

test('readLog of a log that was cut begins with its checkpoint, and earlier positions are gone', async () => {
  const cluster = await produced(6);
  const early = cluster.stream(1).group.tail;
  await produce(cluster);
  const [second] = await cluster.recordsOf(1, 2).then((records) => records.slice(1));
  assert.ok(second !== undefined);
  const changed = cluster.stream(1).changeSettings({ maxEvents: 9 });
  await cluster.commitIsKnown();
  await changed;
  await cluster.advance(1100);
  const { begin, commitIndex } = cluster.stream(1).group;
  assert.ok(begin.index > second.index, 'the front was cut');
  const kept = Array.from({ length: commitIndex - begin.index }, (_, at) => begin.index + 1 + at);
  const { checkpoint, indexes, started } = await readLog(cluster, 1);
  assert.equal(decodeCheckpoint(checkpoint).before.index, begin.index);
  assert.deepEqual([indexes, started?.throughIndex], [kept, commitIndex]);
  assert.equal((await readLog(cluster, 1, { after: tailAfter(second) })).fate.code, 'POSITION_REMOVED');
  // The record that the log begins after is known without being there.
  assert.deepEqual((await readLog(cluster, 1, { after: decodeCheckpoint(checkpoint).before })).indexes, kept);
  assert.deepEqual(
    (await readLog(cluster, 1, { after: early })).indexes,
    kept.filter((index) => index > early.index),
  );
});
