/**
 * What a search by the namespace indexes says while the log has less, or other things, than the replica knows to be
 * committed.
 */

import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { actorId, logIndex, term } from '../../../src/base/index.js';
import { MACHINES } from '../../../src/cluster/index.js';
import { compileGlob } from '../../../src/event/index.js';
import { systemClock } from '../../../src/group/system-clock.js';
import { type LevelStorage, openStorage } from '../../../src/storage/index.js';
import { namespacesPath } from '../../../src/storage/namespace-index/index.js';
import { segmentName } from '../../../src/storage/segment/segment-files.js';
import type { GlobSearch } from '../../../src/stream/index.js';
import type { LogRecord } from '../../../src/wire/index.js';
import { simulatedDisk } from '../../contract/implementations.js';
import { until } from '../../support/until.js';
import { append, GROUP, INCARNATION, membershipOf, RecordChain, stateAfter } from '../fixture.js';
import { HoldingDisk } from '../holding-disk.js';
import { recordsOf } from '../namespace-index/fixture.js';

const PER_SEGMENT = 5;
const SEGMENT_BYTES = 1024;
const RECORDS = recordsOf(['/a', '/b'], 23);
const GLOB = compileGlob('/a*');
const segmentsPath = `/node/groups/${GROUP}/segments`;
const directoryOf = (sequence: number): string => `${segmentsPath}/${segmentName(sequence)}`;

interface Node {
  readonly disk: HoldingDisk;
  readonly storage: LevelStorage;
  readonly search: GlobSearch;
}

async function emptyNode(t: TestContext): Promise<Node> {
  const disk = new HoldingDisk(simulatedDisk());
  await disk.makeDirectory('/node');
  await disk.makeDirectory('/node/groups');
  const storage = await openStorage({
    directory: {
      path: '/node',
      groupsPath: '/node/groups',
      identity: { format: 1, actor: actorId(1), instance: 'a'.repeat(32), secret: '', bootCounter: 1, boots: [] },
    },
    clock: systemClock,
    machines: MACHINES,
    disk,
    segmentBytes: SEGMENT_BYTES,
    onFailure: (error) => assert.fail(String(error)),
  });
  t.after(() => {
    disk.holds = () => false;
    disk.release();
    return storage.close();
  });
  await storage.createGroup({ group: GROUP, incarnation: INCARNATION, machine: 'stream', membership: membershipOf(1) });
  return { disk, storage, search: storage.group(GROUP).search(GLOB) };
}

/** A segment is full with each write. */
async function write(storage: LevelStorage, records: readonly LogRecord[]): Promise<void> {
  for (let at = 0; at < records.length; at += PER_SEGMENT)
    await storage.persist(append(records.slice(at, at + PER_SEGMENT)));
}

async function indexMade({ disk }: Node, sequence: number): Promise<void> {
  await until(
    `segment ${sequence} has an index`,
    async () => (await disk.readFile(namespacesPath(directoryOf(sequence)))) !== undefined,
  );
}

test('a search says nothing of a record that is not stored yet, where the youngest segment is sealed', async (t) => {
  const node = await emptyNode(t);
  const { disk, storage, search } = node;
  const last = logIndex(2 * PER_SEGMENT);
  // The third segment is being begun, and its disk is slow.
  disk.holds = (method, path) => method === 'writeFile' && path.startsWith(`${directoryOf(3)}/header`);
  await write(storage, RECORDS.slice(0, last));
  storage.group(GROUP).noteCommitted(last);
  await until('the next header is being written', () => disk.isHolding);
  // A reader that finds no index has it made, long before a segment is settled.
  const first = logIndex(PER_SEGMENT + 1);
  assert.equal(await search.next(first, last), undefined);
  await indexMade(node, 2);
  assert.ok((await search.next(first, last)) !== undefined, 'what is stored is found by the index');
  for (const from of [last + 1, last + 2]) {
    assert.equal(
      await search.next(logIndex(from), logIndex(last + 9)),
      undefined,
      `record ${from} is in memory only, and is read from there`,
    );
    assert.equal(
      await storage.group(GROUP).namespaces(logIndex(from), logIndex(last + 9), { prefix: '/a', after: '' }),
      undefined,
    );
  }
});

test('a search while a snapshot is about to replace the log gives out only what was committed in it', async (t) => {
  const node = await emptyNode(t);
  const { disk, storage, search } = node;
  await write(storage, RECORDS.slice(0, 3 * PER_SEGMENT));
  const committed = logIndex(PER_SEGMENT);
  storage.group(GROUP).noteCommitted(committed);
  for (const sequence of [1, 2]) await indexMade(node, sequence);
  const before = new RecordChain();
  before.addMany(200, { term: 7 });
  const state = stateAfter(before.records);
  // When the new log stands beside the old one, the marker is written, and then one takes the other's place.
  let isStaged = false;
  disk.holds = (method, path) => {
    isStaged ||= method === 'syncDirectory' && path === dirname(segmentsPath);
    return isStaged && method === 'sync' && path.endsWith('/marker');
  };
  const installed = storage.persist([
    {
      group: GROUP,
      snapshot: {
        incarnation: INCARNATION,
        before: before.tail,
        membership: membershipOf(1, 2),
        membershipIndex: logIndex(150),
        state,
      },
      records: [],
      hardState: { term: term(7), vote: undefined },
    },
  ]);
  while (!disk.isHolding) await turn();
  await disk.quiet();
  const through = logIndex(200);
  assert.equal((await search.next(logIndex(1), through))?.through, committed, 'what was committed is the same in both');
  assert.equal(
    await search.next(logIndex(committed + 1), through),
    undefined,
    'what follows there is of a history that never was',
  );
  disk.holds = () => false;
  disk.release();
  await installed;
  await assert.rejects(search.next(logIndex(1), through), { code: 'POSITION_REMOVED' });
});
