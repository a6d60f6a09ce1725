/**
 * What works in segments' directories in the background, and what removes, truncates or replaces them at the same time.
 */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { actorId, FlotillaError, LIMITS, logIndex, term } from '../../../src/base/index.js';
import { MACHINES } from '../../../src/cluster/index.js';
import { compileGlob } from '../../../src/event/index.js';
import type { PersistRequest } from '../../../src/group/index.js';
import { systemClock } from '../../../src/group/system-clock.js';
import { type LevelStorage, openStorage } from '../../../src/storage/index.js';
import { segmentName } from '../../../src/storage/segment/segment-files.js';
import { type LogRecord, tailAfter } from '../../../src/wire/index.js';
import { simulatedDisk } from '../../contract/implementations.js';
import {
  append,
  CLUSTER,
  checksums,
  GROUP,
  INCARNATION,
  membershipOf,
  RecordChain,
  readAll,
  stateAfter,
} from '../fixture.js';
import { HoldingDisk } from '../holding-disk.js';
import { recordsOf } from '../namespace-index/fixture.js';

const PER_SEGMENT = 5;
const SEGMENT_BYTES = 1024;
const COMMITTED = 12;

/** Segments of 5 records each, and a younger one with 3. */
const RECORDS = recordsOf(['/a', '/b'], 23);
const segmentsPath = `/node/groups/${GROUP}/segments`;
const databaseOf = (sequence: number): string => join(segmentsPath, segmentName(sequence), 'db');

interface Node {
  readonly disk: HoldingDisk;
  readonly storage: LevelStorage;
  readonly failures: unknown[];
  /** From then on the namespace indexes are made. */
  readonly beginIndexing: () => void;
}

/** Time stands still, so that nothing takes too long; what is to be done later is done soon. */
async function openNode(t: TestContext, disk: HoldingDisk, isNew = false): Promise<Node> {
  const failures: unknown[] = [];
  let beginIndexing = (): void => undefined;
  const indexing = new Promise<void>((resolve) => {
    beginIndexing = resolve;
  });
  const identity = {
    format: 1,
    actor: actorId(1),
    instance: 'a'.repeat(32),
    secret: '',
    bootCounter: 1,
    boots: [],
  } as const;
  const storage = await openStorage({
    directory: {
      path: '/node',
      groupsPath: '/node/groups',
      identity: isNew ? identity : { ...identity, clusterId: CLUSTER },
    },
    machines: MACHINES,
    clock: {
      ...systemClock,
      nowMs: () => 0,
      soon: (run) => void indexing.then(run),
      after: (delayMs, run) => systemClock.after(delayMs === LIMITS.repairRetryMs ? 0 : delayMs, run),
    },
    disk,
    segmentBytes: SEGMENT_BYTES,
    onFailure: (error) => failures.push(error),
  });
  // Again, where the test has come to its end.
  t.after(() => {
    beginIndexing();
    return storage.close();
  });
  return { disk, storage, failures, beginIndexing };
}

async function emptyNode(t: TestContext): Promise<Node> {
  const disk = new HoldingDisk(simulatedDisk());
  await disk.makeDirectory('/node');
  await disk.makeDirectory('/node/groups');
  const node = await openNode(t, disk, true);
  await node.storage.createGroup({
    group: GROUP,
    incarnation: INCARNATION,
    machine: 'stream',
    membership: membershipOf(1),
  });
  return node;
}

async function filledNode(t: TestContext): Promise<Node> {
  const { disk, storage, beginIndexing } = await emptyNode(t);
  for (let at = 0; at < RECORDS.length; at += PER_SEGMENT)
    await storage.persist(append(RECORDS.slice(at, at + PER_SEGMENT)));
  storage.group(GROUP).noteCommitted(logIndex(COMMITTED));
  const closed = storage.close();
  beginIndexing();
  await closed;
  const node = await openNode(t, disk);
  assert.equal(
    node.storage.group(GROUP).cutPoint(logIndex(COMMITTED)),
    2 * PER_SEGMENT,
    'a segment is full with each write',
  );
  return node;
}

type Action = (node: Node) => Promise<unknown>;

const write =
  (...requests: PersistRequest[]): Action =>
  ({ storage }) =>
    storage.persist(requests);

/** Damage at the end of this segment is met, and mended from another node. */
const repair =
  (sequence: number): Action =>
  async ({ disk, storage }) => {
    const last = logIndex(sequence * PER_SEGMENT);
    disk.damaged.set(databaseOf(sequence), last - 1);
    storage.heal({
      isAlone: false,
      fetch: async (_group, from, to) => RECORDS.slice(from - 1, Math.min(to, from + 2)),
    });
    await storage.group(GROUP).read(last, last, 1);
  };

function snapshot(): PersistRequest {
  const others = new RecordChain();
  others.addMany(200, { term: 7 });
  const { tail: before } = others;
  const state = stateAfter(others.records);
  return {
    group: GROUP,
    snapshot: {
      incarnation: INCARNATION,
      before,
      membership: membershipOf(1, 2),
      membershipIndex: logIndex(150),
      state,
    },
    records: [],
    hardState: { term: term(7), vote: undefined },
  };
}

function truncation(after: number): PersistRequest[] {
  const tail = tailAfter(RECORDS[after - 1] ?? assert.fail('there is such a record'));
  const other = new RecordChain(tail);
  return append([other.add({ term: 2 })], after);
}

const BACKGROUND: Readonly<Record<string, Action>> = {
  'making an index': async ({ beginIndexing }) => beginIndexing(),
  'a repair of the first segment': repair(1),
  'a repair of the third segment': repair(3),
  'a set of reads': async ({ storage }) => {
    const log = storage.group(GROUP);
    const range = [logIndex(1), logIndex(COMMITTED)] as const;
    await Promise.all([
      log.read(logIndex(11), logIndex(20), 100_000),
      log.search(compileGlob('/a')).next(...range),
      log.namespaces(...range, { prefix: '', after: '' }),
      log.checkpointAt(logIndex(10)),
      log.indexOfBytes(SEGMENT_BYTES * 2),
    ]);
  },
};

const WRITES: Readonly<Record<string, Action>> = {
  'a checkpoint': write({
    group: GROUP,
    records: [],
    checkpoint: { index: logIndex(10), state: stateAfter(RECORDS.slice(0, 10)) },
  }),
  'a cut': write({ group: GROUP, records: [], cutThrough: logIndex(10) }),
  'a truncation': write(...truncation(12)),
  'a truncation of whole segments': write(...truncation(15)),
  'a snapshot': write(snapshot()),
};

/** Writes come one at a time, so no two of them are tried. */
const PAIRS = Object.keys({ ...BACKGROUND, ...WRITES }).flatMap((first) =>
  Object.keys({ ...BACKGROUND, ...WRITES })
    .filter((second) => first !== second && !(first in WRITES && second in WRITES))
    .map((second) => ({ first, second })),
);

/** All moments take minutes: of each pair some are tried, other ones of each, and all of them with `OVERLAP_STEP=1`. */
const STEP = Number(process.env['OVERLAP_STEP'] ?? 20);

for (const [position, { first, second }] of PAIRS.entries()) {
  test(`${second} begins at any moment of ${first}`, async (t) => {
    let heldCall = position % Math.min(STEP, 3);
    assert.ok(await overlap(t, { first, second, heldCall }), 'it makes calls');
    do heldCall += STEP;
    while (await overlap(t, { first, second, heldCall }));
  });
}

interface Overlap {
  readonly first: string;
  readonly second: string;
  readonly heldCall: number;
}

/**
 * Begins the first, holds one of its calls, begins the second, and lets both end. False where the first makes no such
 * call.
 */
async function overlap(t: TestContext, { first, second, heldCall }: Overlap): Promise<boolean> {
  const actions = { ...BACKGROUND, ...WRITES };
  const node = await filledNode(t);
  const { disk, storage, failures } = node;
  let calls = 0;
  disk.holds = () => calls++ === heldCall;
  const ends = [outcomeOf(actions[first]?.(node))];
  await disk.quiet();
  const { isHolding } = disk;
  disk.holds = () => false;
  ends.push(outcomeOf(actions[second]?.(node)));
  await disk.quiet();
  disk.release();
  const outcomes = await Promise.all(ends);
  node.beginIndexing();
  await disk.quiet();
  assert.deepEqual(
    { failures, violations: disk.violations, outcomes: outcomes.filter((outcome) => !FITTING.has(outcome)) },
    NOTHING_WRONG,
  );
  const wasCut = first === 'a cut' || second === 'a cut';
  if (first in BACKGROUND && second in BACKGROUND)
    assert.deepEqual(checksums(await readAll(storage)), checksums(RECORDS));
  await storage.close();
  // Damage that was not met, because the segment was truncated, would be found by the start.
  disk.damaged.clear();
  const again = await openNode(t, disk);
  const records = await readAll(again.storage);
  if (wasCut) assert.deepEqual(checksums(records), checksums(RECORDS.slice(10)));
  if (first === 'a checkpoint' || second === 'a checkpoint') await assertCheckpointed(disk, RECORDS.slice(0, 10));
  again.beginIndexing();
  await again.storage.close();
  return isHolding;
}

const NOTHING_WRONG = { failures: [], violations: [], outcomes: [] };
const FITTING = new Set(['done', 'POSITION_REMOVED']);

async function outcomeOf(action: Promise<unknown> | undefined): Promise<string> {
  try {
    await action;
    return 'done';
  } catch (error) {
    return error instanceof FlotillaError ? error.code : String(error);
  }
}

async function assertCheckpointed(disk: HoldingDisk, records: readonly LogRecord[]): Promise<void> {
  const sequence = records.length / PER_SEGMENT + 1;
  const file = await disk.readFile(join(segmentsPath, segmentName(sequence), 'checkpoint'));
  assert.ok(
    file !== undefined && Buffer.from(file).includes(Buffer.from(stateAfter(records))),
    'the checkpoint is there',
  );
}

test('a segment that becomes a table is repaired, truncated and replaced afterwards', async (t) => {
  for (const action of [repair(1), write(...truncation(3)), write(snapshot())]) {
    const node = await emptyNode(t);
    const { disk, storage, failures } = node;
    disk.holds = (method) => method === 'settle';
    await storage.persist(append(RECORDS.slice(0, PER_SEGMENT)));
    await disk.quiet();
    assert.ok(disk.isHolding, 'the full segment is settled in the background');
    const end = outcomeOf(action(node));
    await disk.quiet();
    disk.holds = () => false;
    disk.release();
    assert.equal(await end, 'done');
    await disk.quiet();
    assert.deepEqual({ failures, violations: disk.violations }, { failures: [], violations: [] });
  }
});

test('a checkpoint that two callers make again at once is made for both', async (t) => {
  const { disk, storage, failures } = await filledNode(t);
  const state = stateAfter(RECORDS.slice(0, 10));
  await disk.writeFile(join(segmentsPath, segmentName(3), 'checkpoint'), Buffer.from('damaged'));
  const both = await Promise.all([
    storage.group(GROUP).checkpointAt(logIndex(10)),
    storage.group(GROUP).checkpointAt(logIndex(10)),
  ]);
  for (const checkpoint of both) assert.deepEqual(checkpoint.state, state);
  assert.deepEqual(failures, []);
});

test('a reader that met damage in what is removed meanwhile is told of the removal', async (t) => {
  const { disk, storage, failures } = await filledNode(t);
  disk.damaged.set(databaseOf(1), 1);
  let cut: Promise<void> | undefined;
  const fetch = async (): Promise<LogRecord[]> => {
    cut ??= storage.persist([{ group: GROUP, records: [], cutThrough: logIndex(10) }]);
    await cut;
    return [];
  };
  storage.heal({ isAlone: false, fetch });
  await assert.rejects(storage.group(GROUP).read(logIndex(1), logIndex(1), 1), { code: 'POSITION_REMOVED' });
  assert.deepEqual(failures, []);
});

test('a segment that is given up is not put in its place again while the one before it is still read', async (t) => {
  const node = await filledNode(t);
  const { disk, storage, failures } = node;
  disk.holds = (method, path) => method === 'read' && path === databaseOf(1);
  const read = outcomeOf(storage.group(GROUP).read(logIndex(1), logIndex(1), 1));
  await disk.quiet();
  assert.ok(disk.isHolding, 'the first segment is read');
  disk.holds = () => false;
  let fetched = (): void => undefined;
  const cut = new Promise<void>((resolve) => {
    fetched = resolve;
  });
  disk.damaged.set(databaseOf(2), 9);
  storage.heal({
    isAlone: false,
    fetch: (_group, from, to) => cut.then(() => RECORDS.slice(from - 1, Math.min(to, from + 2))),
  });
  const mended = outcomeOf(storage.group(GROUP).read(logIndex(10), logIndex(10), 1));
  await disk.quiet();
  await storage.persist([{ group: GROUP, records: [], cutThrough: logIndex(10) }]);
  fetched();
  await disk.quiet();
  const isThrownAway = disk.damaged.has(databaseOf(2));
  disk.release();
  assert.ok(isThrownAway, 'what was built anew is not put in the place of what is given up');
  assert.deepEqual([await read, await mended], ['done', 'POSITION_REMOVED']);
  await disk.quiet();
  assert.deepEqual({ failures, violations: disk.violations }, { failures: [], violations: [] });
});
