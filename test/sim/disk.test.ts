import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../src/base/index.js';
import { damage } from '../../src/sim/damage.js';
import { SimulatedDisk } from '../../src/sim/disk.js';
import { EventQueue } from '../../src/sim/event-queue.js';

/** A disk whose operations end when the test waits for them. */
function newDisk(seed = 1): { disk: SimulatedDisk; done: <Result>(operation: Promise<Result>) => Promise<Result> } {
  const queue = new EventQueue();
  const disk = new SimulatedDisk(queue, seededRandom(seed));
  disk.attach((delayMs, run) => queue.after(delayMs, run));
  return {
    disk,
    async done(operation) {
      while (queue.nextMs < Number.POSITIVE_INFINITY) {
        queue.runNext();
        await Promise.resolve();
      }
      return operation;
    },
  };
}

function attach(disk: SimulatedDisk): <Result>(operation: () => Promise<Result>) => Promise<Result> {
  const queue = new EventQueue();
  disk.attach((delayMs, run) => queue.after(delayMs, run));
  return async (operation) => {
    const begun = operation();
    while (queue.nextMs < Number.POSITIVE_INFINITY) queue.runNext();
    return begun;
  };
}

/** What is found in `outcomes` runs that differ in their seed alone. */
async function outcomesOf(run: (seed: number) => Promise<string>): Promise<Set<string>> {
  const outcomes = new Set<string>();
  for (let seed = 1; seed <= 60; seed++) outcomes.add(await run(seed));
  return outcomes;
}

async function textOf(disk: SimulatedDisk, path: string): Promise<string> {
  const content = await attach(disk)(() => disk.readFile(path));
  return content === undefined ? 'missing' : Buffer.from(content).toString();
}

test('writeFile_isDurable_andItsNameOnceTheDirectoryIsSynced', async () => {
  const outcomes = await outcomesOf(async (seed) => {
    const { disk, done } = newDisk(seed);
    await done(disk.writeFile('/a', Buffer.from('one')));
    await done(disk.syncDirectory('/'));
    await done(disk.writeFile('/b', Buffer.from('two')));
    disk.crash(true);
    assert.equal(await textOf(disk, '/a'), 'one');
    return textOf(disk, '/b');
  });
  assert.deepEqual([...outcomes].sort(), ['missing', 'two']);
});

test('write_survivesTheEndOfTheProcess_andAPowerCutOnlyAfterItsSync', async () => {
  for (const power of [false, true]) {
    const outcomes = await outcomesOf(async (seed) => {
      const { disk, done } = newDisk(seed);
      await done(disk.writeFile('/a', Buffer.from('old')));
      await done(disk.syncDirectory('/'));
      const file = await done(disk.openFile('/a'));
      assert.ok(file !== undefined);
      file.write(Buffer.from('mid'), 0);
      await done(file.sync());
      file.write(Buffer.from('new'), 0);
      disk.crash(power);
      return textOf(disk, '/a');
    });
    assert.deepEqual([...outcomes].sort(), power ? ['mid', 'new'] : ['new']);
  }
});

test('write_isTornAtSectors', async () => {
  const outcomes = await outcomesOf(async (seed) => {
    const { disk, done } = newDisk(seed);
    await done(disk.writeFile('/a', Buffer.alloc(1024, 'o')));
    await done(disk.syncDirectory('/'));
    const file = await done(disk.openFile('/a'));
    file?.write(Buffer.alloc(1024, 'n'), 0);
    disk.crash(true);
    const text = await textOf(disk, '/a');
    return `${text[0]}${text[511]}${text[512]}${text[1023]}`;
  });
  assert.deepEqual([...outcomes].sort(), ['nnnn', 'nnoo', 'oonn', 'oooo']);
});

test('sync_thatFailedOnceNeverMakesItsBytesDurable', async () => {
  const { disk, done } = newDisk();
  await done(disk.writeFile('/a', Buffer.from('old')));
  await done(disk.syncDirectory('/'));
  const file = await done(disk.openFile('/a'));
  assert.ok(file !== undefined);
  file.write(Buffer.from('new'), 0);
  disk.troubles.syncFails = true;
  await assert.rejects(done(file.sync()), { code: 'EIO' });
  await done(file.sync());
  assert.equal(
    Buffer.from((await done(disk.readFile('/a'))) ?? []).toString(),
    'new',
    'as the operating system remembers it',
  );
  disk.crash(true);
  assert.equal(await textOf(disk, '/a'), 'old');
});

test('rename_isThereOrNot_andNeverHalf', async () => {
  const outcomes = await outcomesOf(async (seed) => {
    const { disk, done } = newDisk(seed);
    await done(disk.writeFile('/a', Buffer.from('old')));
    await done(disk.syncDirectory('/'));
    await done(disk.writeFile('/a.tmp', Buffer.from('new')));
    await done(disk.rename('/a.tmp', '/a'));
    disk.crash(true);
    return textOf(disk, '/a');
  });
  assert.deepEqual([...outcomes].sort(), ['new', 'old']);
});

test('database_batchUnderWayIsThereWhole_orNotAtAll', async () => {
  const outcomes = await outcomesOf(async (seed) => {
    const { disk, done } = newDisk(seed);
    const database = await done(disk.createDatabase('/db'));
    await done(disk.syncDirectory('/'));
    await done(database.write([{ index: 1, bytes: Buffer.from('a') }], 1, 0));
    const write = database.write(
      [
        { index: 2, bytes: Buffer.from('b') },
        { index: 3, bytes: Buffer.from('c') },
      ],
      1,
      1,
    );
    write.catch(() => undefined);
    disk.crash(true);
    const run = attach(disk);
    const again = await run(() => disk.openDatabase('/db'));
    return Buffer.concat(await run(() => again.read(1, 3, 100))).toString();
  });
  assert.deepEqual([...outcomes].sort(), ['a', 'bc']);
});

test('database_afterAFullDisk_acknowledgesWhatIsGoneOnReopening', async () => {
  const { disk, done } = newDisk();
  const database = await done(disk.createDatabase('/db'));
  await done(disk.syncDirectory('/'));
  disk.troubles.full = true;
  await assert.rejects(done(database.write([{ index: 1, bytes: Buffer.from('a') }], 1, 0)), { code: 'ENOSPC' });
  disk.troubles.full = false;
  await done(database.write([{ index: 1, bytes: Buffer.from('a') }], 1, 0));
  disk.crash(false);
  assert.equal(await attach(disk)(() => disk.databaseIsEmpty('/db')), true);
});

test('database_afterAFailedSync_takesNoWriteUntilReopened_andThenHasTheFailedOne', async () => {
  const { disk, done } = newDisk();
  const database = await done(disk.createDatabase('/db'));
  await done(disk.syncDirectory('/'));
  disk.troubles.syncFails = true;
  await assert.rejects(done(database.write([{ index: 1, bytes: Buffer.from('a') }], 1, 0)), { code: 'EIO' });
  await assert.rejects(done(database.write([{ index: 2, bytes: Buffer.from('b') }], 1, 0)), { code: 'EIO' });
  disk.crash(false);
  const run = attach(disk);
  const again = await run(() => disk.openDatabase('/db'));
  assert.deepEqual((await run(() => again.read(1, 9, 100))).map(String), [String(Buffer.from('a'))]);
});

test('openDatabase_refusesOneWhoseMakingWasInterrupted', async () => {
  const outcomes = await outcomesOf(async (seed) => {
    const { disk } = newDisk(seed);
    disk.createDatabase('/db').catch(() => undefined);
    disk.crash(false);
    const opening = attach(disk)(() => disk.openDatabase('/db'));
    return opening.then(
      () => 'whole',
      (error: { code: string }) => error.code,
    );
  });
  assert.deepEqual([...outcomes].sort(), ['DATA_LOSS', 'whole']);
});

test('damage_changesWhatIsReadBack', async () => {
  const outcomes = await outcomesOf(async (seed) => {
    const { disk, done } = newDisk(seed);
    await done(disk.writeFile('/a', Buffer.from('some text')));
    await done(disk.syncDirectory('/'));
    disk.crash(false);
    const what = damage(disk, seededRandom(seed)) ?? 'nothing';
    assert.notEqual(await textOf(disk, '/a'), 'some text', what);
    return what.replace(/\d+/, 'N');
  });
  assert.deepEqual([...outcomes].sort(), [
    'bit in byte N of /a',
    'end from byte N of /a',
    'file of /a',
    'zeroed sector around byte N of /a',
  ]);
});
