/** The state of a stream at the begin of its segments. */
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { logIndex } from '../../../src/base/index.js';
import type { LevelStorage } from '../../../src/storage/index.js';
import { FailingDisk } from '../failing-disk.js';
import {
  append,
  copyOf,
  GROUP,
  newNode,
  openNode,
  RecordChain,
  scratchDirectory,
  segmentsPath,
  stateAfter,
} from '../fixture.js';

const SEGMENT_BYTES = 8 * 1024;

/** Several segments, all of them committed, and what they lead to at each one's begin. */
async function filledNode(t: TestContext): Promise<{ dir: string; chain: RecordChain }> {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, SEGMENT_BYTES);
  const chain = new RecordChain();
  for (let write = 0; write < 50; write++)
    await node.storage.persist(append(chain.addMany(2, { bytes: 400, events: 2 })));
  node.storage.group(GROUP).noteCommitted(logIndex(100));
  await node.close();
  return { dir, chain };
}

const stateAt = (chain: RecordChain, index: number): Uint8Array => stateAfter(chain.records.slice(0, index));

/** Where segments begin, that of the log first. */
function cutPoints(storage: LevelStorage): number[] {
  const log = storage.group(GROUP);
  return [...new Set(Array.from({ length: 101 }, (_, index) => Number(log.cutPoint(logIndex(index)))))];
}

async function checkpointFiles(dir: string): Promise<string[]> {
  const paths = (await readdir(segmentsPath(dir))).sort().map((name) => join(segmentsPath(dir), name, 'checkpoint'));
  const present = await Promise.all(
    paths.map(async (path) => ((await readFile(path).catch(() => undefined)) === undefined ? [] : [path])),
  );
  return present.flat();
}

test('a start has the state of what is committed, and makes the checkpoints that are missing', async (t) => {
  const { dir, chain } = await filledNode(t);
  assert.deepEqual(await checkpointFiles(dir), [], 'nobody has handed a state over');
  const node = await openNode(t, dir, SEGMENT_BYTES);
  const { recovered } = node.storage.group(GROUP);
  assert.equal(recovered.commitIndex, 100);
  assert.deepEqual(recovered.state, stateAt(chain, 100));
  const points = cutPoints(node.storage);
  assert.ok(points.length >= 4, `${points}`);
  assert.equal(
    (await checkpointFiles(dir)).length,
    points.length - 1,
    'the first needs none: before it there is nothing',
  );
  for (const point of points) {
    assert.deepEqual(
      (await node.storage.group(GROUP).checkpointAt(logIndex(point))).state,
      stateAt(chain, point),
      `${point}`,
    );
  }
});

test('a start makes a damaged checkpoint again, also one that it does not need', async (t) => {
  const { dir } = await filledNode(t);
  await (await openNode(t, dir, SEGMENT_BYTES)).close();
  const paths = await checkpointFiles(dir);
  const contents = await Promise.all(paths.map((path) => readFile(path)));
  const [first, second] = paths;
  assert.ok(first !== undefined && second !== undefined && paths.length > 3);
  await writeFile(first, 'damaged');
  await rm(second);
  await openNode(t, dir, SEGMENT_BYTES);
  assert.deepEqual(await checkpointFiles(dir), paths);
  assert.deepEqual(await Promise.all(paths.map((path) => readFile(path))), contents);
});

test("checkpointDue names each segment's begin in turn, and the log may be cut at a stored one", async (t) => {
  const node = await newNode(t, await scratchDirectory(t), SEGMENT_BYTES);
  const log = node.storage.group(GROUP);
  const chain = new RecordChain();
  const due: number[] = [];
  for (let write = 0; write < 30; write++) {
    await node.storage.persist(append(chain.addMany(2, { bytes: 400 })));
    const index = log.checkpointDue(logIndex(0));
    if (index === undefined) continue;
    assert.equal(log.cutPoint(logIndex(1000)), due.at(-1) ?? 0, 'not before its checkpoint is there');
    log.noteCommitted(index);
    assert.equal(log.checkpointDue(logIndex(index + 1)), undefined);
    await node.storage.persist([{ group: GROUP, records: [], checkpoint: { index, state: stateAt(chain, index) } }]);
    assert.equal(log.cutPoint(logIndex(1000)), index);
    assert.equal(log.checkpointDue(logIndex(0)), undefined);
    due.push(index);
  }
  assert.ok(due.length >= 2, `${due}`);
});

for (const [damage, inflict] of Object.entries({
  'a flipped bit in the state': (path: string) => flip(path, -3),
  'a flipped bit in its line': (path: string) => flip(path, 12),
  'a missing end': async (path: string) => writeFile(path, (await readFile(path)).subarray(0, -5)),
  'a missing file': (path: string) => rm(path),
})) {
  test(`aCheckpointWith ${damage} isMadeAgain`, async (t) => {
    const { dir, chain } = await filledNode(t);
    await (await openNode(t, dir, SEGMENT_BYTES)).close();
    const files = await checkpointFiles(dir);
    const whole = await Promise.all(files.map((path) => readFile(path)));
    // One that a start needs, and the one before it.
    for (const path of files.slice(-2)) await inflict(path);
    const node = await openNode(t, dir, SEGMENT_BYTES);
    assert.deepEqual(node.storage.group(GROUP).recovered.state, stateAt(chain, 100));
    assert.deepEqual(await Promise.all(files.map((path) => readFile(path))), whole);
    // And one that a start has no need of, when the log is to begin there.
    await inflict(files[0] ?? assert.fail('there are checkpoints'));
    const [, first = 0] = cutPoints(node.storage);
    assert.deepEqual((await node.storage.group(GROUP).checkpointAt(logIndex(first))).state, stateAt(chain, first));
    assert.deepEqual(await readFile(files[0] ?? ''), whole[0]);
  });
}

test('aCheckpointOfAnotherSegmentIsNotBelieved', async (t) => {
  const { dir, chain } = await filledNode(t);
  await (await openNode(t, dir, SEGMENT_BYTES)).close();
  const files = await checkpointFiles(dir);
  const [one, last] = [files[0] ?? '', files.at(-1) ?? ''];
  await writeFile(last, await readFile(one));
  const node = await openNode(t, dir, SEGMENT_BYTES);
  assert.deepEqual(node.storage.group(GROUP).recovered.state, stateAt(chain, 100));
});

test('theCheckpointThatALogBeginsWithCanNotBeMadeAgain', async (t) => {
  const { dir } = await filledNode(t);
  const node = await openNode(t, dir, SEGMENT_BYTES);
  const [, first = 0] = cutPoints(node.storage);
  await node.storage.persist([{ group: GROUP, records: [], cutThrough: logIndex(first) }]);
  await node.close();
  await flip((await checkpointFiles(dir))[0] ?? '', -3);
  await assert.rejects(openNode(t, dir, SEGMENT_BYTES), { code: 'DATA_LOSS', message: /checkpoint is damaged/ });
});

test('storing a checkpoint that is interrupted anywhere leaves a log that has the state', async (t) => {
  const dir = await scratchDirectory(t);
  const filling = await newNode(t, dir, SEGMENT_BYTES);
  const chain = new RecordChain();
  for (let write = 0; write < 15; write++) await filling.storage.persist(append(chain.addMany(2, { bytes: 400 })));
  const index = filling.storage.group(GROUP).checkpointDue(logIndex(0)) ?? assert.fail('a segment is full');
  await filling.close();
  for (let changes = 0, ended = true; ended; changes++) {
    const copy = await copyOf(t, dir);
    const disk = new FailingDisk(Number.POSITIVE_INFINITY);
    const node = await openNode(undefined, copy, SEGMENT_BYTES, disk);
    node.storage.group(GROUP).noteCommitted(index);
    disk.changesLeft = changes;
    ended = await node.storage
      .persist([{ group: GROUP, records: [], checkpoint: { index, state: stateAt(chain, index) } }])
      .then(
        () => false,
        () => true,
      );
    await node.close().catch((error: unknown) => assert.match(String(error), /the process has ended/));
    const again = await openNode(t, await copyOf(t, copy), SEGMENT_BYTES);
    const { recovered } = again.storage.group(GROUP);
    assert.deepEqual(recovered.state, stateAt(chain, recovered.commitIndex));
    again.storage.group(GROUP).noteCommitted(logIndex(30));
    await again.close();
  }
});

async function flip(path: string, offset: number): Promise<void> {
  const bytes = await readFile(path);
  const position = offset < 0 ? bytes.length + offset : offset;
  bytes[position] = (bytes[position] ?? 0) ^ 1;
  await writeFile(path, bytes);
}
