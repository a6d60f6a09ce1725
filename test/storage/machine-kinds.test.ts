/** The state machine of a group comes to the storage from outside, by a name that stands in the group's files. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { actorId, logIndex } from '../../src/base/index.js';
import type { MachineKinds } from '../../src/group/index.js';
import { systemClock } from '../../src/group/system-clock.js';
import { openNodeDirectory, openStorage, type StorageOptions } from '../../src/storage/index.js';
import type { LogRecord } from '../../src/wire/index.js';
import { append, CLUSTER, GROUP, INCARNATION, membershipOf, RecordChain, scratchDirectory } from './fixture.js';

/** Knows of its records only how many events they brought. */
class EventCount {
  appliedIndex = logIndex(0);
  readonly expendableIndex = logIndex(0);
  private count = 0;

  apply({ index, eventCount }: LogRecord): void {
    this.appliedIndex = index;
    this.count += eventCount;
  }

  encode(): Uint8Array {
    return Buffer.from(`${this.appliedIndex} ${this.count}`);
  }

  static initial(): EventCount {
    return new EventCount();
  }

  static decode(bytes: Uint8Array): EventCount {
    const [index, count] = Buffer.from(bytes).toString().split(' ').map(Number);
    const state = new EventCount();
    state.appliedIndex = logIndex(index ?? 0);
    state.count = count ?? 0;
    return state;
  }
}

/** Runs `action` on the storage in `dataDir`, and closes it. */
async function withStorage(
  dataDir: string,
  machines: MachineKinds,
  action: (storage: Awaited<ReturnType<typeof openStorage>>) => Promise<void>,
): Promise<void> {
  const directory = await openNodeDirectory({ dataDir, actor: actorId(1), hasPeers: false });
  try {
    const options: StorageOptions = { directory, clock: systemClock, machines, segmentBytes: 8 * 1024 };
    const storage = await openStorage(options);
    try {
      await action(storage);
      await directory.joinCluster(CLUSTER);
    } finally {
      await storage.close();
    }
  } finally {
    await directory.close();
  }
}

async function filled(t: TestContext): Promise<string> {
  const dataDir = await scratchDirectory(t);
  await withStorage(dataDir, { count: EventCount }, async (storage) => {
    const log = await storage.createGroup({
      group: GROUP,
      incarnation: INCARNATION,
      machine: 'count',
      membership: membershipOf(1),
    });
    const chain = new RecordChain();
    for (let write = 0; write < 30; write++) await storage.persist(append(chain.addMany(2, { bytes: 400, events: 3 })));
    log.noteCommitted(logIndex(60));
  });
  return dataDir;
}

test('checkpoints are made and read again by the kind of state machine that the group was created with', async (t) => {
  const dataDir = await filled(t);
  for (let start = 0; start < 2; start++) {
    await withStorage(dataDir, { count: EventCount }, async (storage) => {
      const log = storage.group(GROUP);
      assert.equal(log.recovered.machine, 'count');
      assert.equal(Buffer.from(log.recovered.state).toString(), '60 180');
      const point = log.cutPoint(logIndex(60));
      assert.ok(point > 0);
      assert.equal(Buffer.from((await log.checkpointAt(point)).state).toString(), `${point} ${3 * point}`);
    });
  }
});

test('a group of a kind that is not known is refused, and left as it is', async (t) => {
  const dataDir = await filled(t);
  for (const machines of [{}, { toString: EventCount }])
    await assert.rejects(
      withStorage(dataDir, machines, async () => undefined),
      { code: 'UPGRADE_NEEDED', message: /group 1 runs a state machine of the kind "count"/ },
    );
  await withStorage(dataDir, { count: EventCount }, async (storage) =>
    assert.equal(storage.group(GROUP).recovered.tail.index, 60),
  );
});
