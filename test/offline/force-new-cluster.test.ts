import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { actorId } from '../../src/base/index.js';
import { systemClock } from '../../src/group/system-clock.js';
import { forceNewCluster, inspectStoppedNode } from '../../src/offline/force-new-cluster.js';
import type { Disk } from '../../src/storage/index.js';
import { nodeDisk } from '../../src/storage/level/node-disk.js';
import type { Membership } from '../../src/wire/index.js';
import { FailingDisk } from '../storage/failing-disk.js';
import {
  append,
  CLUSTER,
  copyOf,
  GROUP,
  INCARNATION,
  membershipOf,
  membersOf,
  openNode,
  RecordChain,
  readAll,
  scratchDirectory,
} from '../storage/fixture.js';

const NEW_CLUSTER = 'd'.repeat(32);
const NEW_INCARNATION = 'fedcba9876543210fedcba9876543210';
const SEGMENT_BYTES = 16 * 1024;
const RECORDS = 100;
const CHANGES_MAX = 1_000_000;

/** Actor 1 of three, stopped, with some segments. `isMember`: false where its log does not name it. */
async function stoppedNode(
  t: TestContext,
  shape: (three: Membership) => Membership = (three) => three,
): Promise<string> {
  const dir = await scratchDirectory(t);
  const node = await openNode(t, dir, SEGMENT_BYTES);
  const three = membershipOf(1, 2, 3);
  const { instance } = node.directory.identity;
  const membership = shape({
    ...three,
    members: three.members.map((member) => (member.actor === 1 ? { ...member, instance } : member)),
  });
  await node.storage.createGroup({ group: GROUP, incarnation: INCARNATION, machine: 'stream', membership });
  await node.directory.promise(membersOf(1, 2, 3));
  await node.directory.joinCluster(CLUSTER);
  const chain = new RecordChain();
  for (let written = 0; written < RECORDS; written += 50)
    await node.storage.persist(append(chain.addMany(50, { term: 4, bytes: 200 })));
  node.storage.group(GROUP).noteCommitted(chain.records[79]?.index ?? assert.fail());
  await node.close();
  return dir;
}

const optionsFor = (dataDir: string, disk: Disk = nodeDisk) => ({
  dataDir,
  actor: actorId(1),
  clock: systemClock,
  disk,
  clusterId: NEW_CLUSTER,
  incarnationOf: () => NEW_INCARNATION,
});

/** All that it held is there, as the log of a cluster of one. */
async function isRecovered(t: TestContext, dir: string): Promise<void> {
  const node = await openNode(t, dir, SEGMENT_BYTES);
  const { recovered } = node.storage.group(GROUP);
  assert.equal(recovered.incarnation, NEW_INCARNATION);
  const latest = recovered.memberships.at(-1);
  assert.deepEqual(
    [latest?.membership.voters, latest?.membership.outgoing, latest?.membership.learners],
    [[1], [], []],
  );
  assert.deepEqual(
    latest?.membership.members.map(({ actor }) => actor),
    [1],
  );
  assert.equal(recovered.tail.index, RECORDS + 1, 'one record more: the membership, once');
  assert.equal(recovered.commitIndex, RECORDS + 1, 'what it held counts as committed');
  assert.equal(recovered.hardState.vote, 1);
  assert.ok(recovered.hardState.term >= 5);
  const records = await readAll(node.storage);
  assert.equal(records.filter(({ kind }) => kind === 'events').length, RECORDS);
  assert.equal(node.directory.identity.clusterId, NEW_CLUSTER);
  assert.equal(node.directory.identity.promised, undefined);
  await node.close();
}

/** Nothing has happened to it. */
async function isAsBefore(t: TestContext, dir: string): Promise<void> {
  const node = await openNode(t, dir, SEGMENT_BYTES);
  const { recovered } = node.storage.group(GROUP);
  assert.deepEqual([recovered.incarnation, recovered.tail.index], [INCARNATION, RECORDS]);
  assert.equal(node.directory.identity.clusterId, CLUSTER);
  await node.close();
}

test('inspect says what the node holds, and changes nothing', async (t) => {
  const dir = await stoppedNode(t);
  const { logs, identity } = await inspectStoppedNode(optionsFor(dir));
  assert.equal(identity.clusterId, CLUSTER);
  const [log] = logs ?? [];
  assert.deepEqual(
    [log?.tail.index, log?.tail.term, log?.commitIndex, log?.tail.nextCounter],
    [RECORDS, 4, 80, RECORDS + 1],
  );
  assert.deepEqual(log?.membership.voters, [1, 2, 3]);
  await isAsBefore(t, dir);
});

test('recovery keeps all records, and makes the node the only member of another cluster', async (t) => {
  const dir = await stoppedNode(t);
  const { logs } = await forceNewCluster(optionsFor(dir));
  assert.equal(logs?.[0]?.incarnation, NEW_INCARNATION);
  await isRecovered(t, dir);
});

test('a recovery killed at any change leaves the old node, or one that starts only once it is finished', async (t) => {
  const original = await stoppedNode(t);
  const whole = new FailingDisk(CHANGES_MAX);
  await forceNewCluster(optionsFor(await copyOf(t, original), whole));
  const needed = CHANGES_MAX - whole.changesLeft;
  const outcomes = { old: 0, begun: 0, done: 0 };
  for (let changes = 0; changes < needed; changes++) {
    let dir = await killedAfter(t, original, changes);
    const state = await stateOf(t, dir);
    outcomes[state]++;
    if (state === 'old') await isAsBefore(t, dir);
    if (state === 'begun') {
      assert.equal((await inspectStoppedNode(optionsFor(dir))).logs, undefined);
      // Killed a second time, at another place, and then finished by another recovery, under the name that was decided
      // first.
      if (changes % 3 === 0) dir = await killedAfter(t, dir, changes % 7);
      if ((await stateOf(t, dir)) === 'begun') await forceNewCluster({ ...optionsFor(dir), clusterId: 'e'.repeat(32) });
    }
    if (state !== 'old') await isRecovered(t, dir);
  }
  t.diagnostic(`${needed} changes; killed before each of them it was: ${JSON.stringify(outcomes)}`);
  assert.ok(outcomes.old > 0 && outcomes.begun > 5);
});

/**
 * What a recovery of a copy leaves behind that is killed; a copy of that too, because this very process lives and holds
 * its locks.
 */
async function killedAfter(t: TestContext, original: string, changes: number): Promise<string> {
  const dir = await copyOf(t, original);
  const recovery = forceNewCluster(optionsFor(dir, new FailingDisk(changes)));
  await assert.rejects(recovery, /the process has ended|a write failed/);
  return await copyOf(t, dir);
}

async function stateOf(t: TestContext, dir: string): Promise<'old' | 'begun' | 'done'> {
  try {
    const node = await openNode(t, dir, SEGMENT_BYTES);
    const { clusterId } = node.directory.identity;
    await node.close();
    return clusterId === CLUSTER ? 'old' : 'done';
  } catch (error) {
    assert.match(String(error), /was begun and has not ended: run the same flotilla cluster recover again/);
    return 'begun';
  }
}

test('a damaged plan is refused by start and recovery, with the way out', async (t) => {
  const original = await stoppedNode(t);
  let dir = original;
  for (let changes = 1; (await stateOf(t, await copyOf(t, dir))) !== 'begun'; changes++)
    dir = await killedAfter(t, original, changes);
  const plan = join(dir, 'node-1', 'recovery');
  await writeFile(plan, (await readFile(plan)).subarray(1));
  const refused = { code: 'DATA_LOSS', message: /recovery is damaged.*flotilla restore/ };
  await assert.rejects(openNode(t, dir, SEGMENT_BYTES), refused);
  await assert.rejects(forceNewCluster(optionsFor(dir)), refused);
});

test('a node that needs no recovery and one that is no member are refused, and stay what they are', async (t) => {
  const alone = await stoppedNode(t, (three) => ({
    ...three,
    voters: [actorId(1)],
    members: three.members.slice(0, 1),
  }));
  await assert.rejects(forceNewCluster(optionsFor(alone)), {
    code: 'INVALID_ARGUMENT',
    message: /nothing to recover from. Nothing was/,
  });
  await isAsBefore(t, alone);
  const stranger = await stoppedNode(t, (three) => ({
    ...three,
    voters: three.voters.slice(1),
    members: three.members.slice(1),
  }));
  await assert.rejects(forceNewCluster(optionsFor(stranger)), {
    code: 'INVALID_ARGUMENT',
    message: /no member of its cluster/,
  });
  await isAsBefore(t, stranger);
});

test('a node that runs and one that is not there are refused', async (t) => {
  const dir = await stoppedNode(t);
  const node = await openNode(t, dir);
  await assert.rejects(forceNewCluster(optionsFor(dir)), { code: 'INVALID_ARGUMENT', message: /is running/ });
  await node.close();
  await assert.rejects(inspectStoppedNode({ ...optionsFor(dir), actor: actorId(2) }), {
    code: 'INVALID_ARGUMENT',
    message: /no node that/,
  });
});
