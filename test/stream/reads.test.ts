import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, LIMITS, type LogIndex, logIndex } from '../../src/base/index.js';
import { IndexWaiters } from '../../src/group/index-waiters.js';
import { ReadIndexes } from '../../src/group/read-indexes.js';
import { RoleWaiters } from '../../src/group/role-waiters.js';
import { batchesOf, eventsOf, packBody } from '../../src/wire/index.js';
import { ManualClock } from '../support/manual-clock.js';
import { batch, fateOf, StreamCluster } from '../support/stream-cluster.js';

async function elected(leader = 1): Promise<StreamCluster> {
  const cluster = new StreamCluster();
  await cluster.elect(leader);
  return cluster;
}

const handled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('confirmReadIndex sees what was acknowledged through another node', async () => {
  const cluster = await elected();
  for (const actor of [1, 2, 3]) {
    const receipt = fateOf(cluster.stream(actor).submit(batch()));
    await cluster.settle();
    assert.equal(receipt.state, 'resolved');
    for (const reader of [1, 2, 3]) {
      const confirmed = fateOf(cluster.stream(reader).group.confirmReadIndex());
      await cluster.settle();
      assert.ok(
        (confirmed.value ?? 0) >= (receipt.value?.index ?? Number.POSITIVE_INFINITY),
        `produced through ${actor}, read at ${reader}`,
      );
      assert.ok(cluster.stream(reader).group.commitIndex >= (confirmed.value ?? Number.POSITIVE_INFINITY));
    }
  }
});

test('confirmReadIndex waits until the index is committed here', async () => {
  const cluster = await elected();
  fateOf(cluster.stream(1).submit(batch()));
  cluster.server(1).clock.runSoon();
  // Node 3 gets no append and hears of no commit, but its question is answered.
  const isNews = ({ to, message }: (typeof cluster.inFlight)[number]): boolean =>
    to === 3 && (message.type === 'append' || message.type === 'heartbeat');
  cluster.inFlight = cluster.inFlight.filter((sent) => !isNews(sent));
  for (let turn = 0; turn < 5; turn++) {
    cluster.deliver();
    cluster.inFlight = cluster.inFlight.filter((sent) => !isNews(sent));
    await handled();
  }
  const behind = cluster.stream(3).group.commitIndex;
  assert.ok(behind < cluster.stream(1).group.commitIndex);
  const confirmed = fateOf(cluster.stream(3).group.confirmReadIndex());
  for (let turn = 0; turn < 10; turn++) {
    cluster.deliver();
    cluster.inFlight = cluster.inFlight.filter((sent) => !isNews(sent));
    await handled();
  }
  assert.equal(cluster.stream(3).group.commitIndex, behind);
  assert.equal(confirmed.state, 'pending');
  await cluster.advance(3000);
  assert.equal(confirmed.value, behind + 1);
});

test('confirmReadIndex asks the next leader when the leader changes meanwhile', async () => {
  const cluster = await elected();
  cluster.cut(1);
  const own = fateOf(cluster.stream(1).group.confirmReadIndex());
  await cluster.settle();
  await cluster.elect(2);
  const receipt = fateOf(cluster.stream(2).submit(batch()));
  await cluster.settle();
  assert.equal(own.state, 'pending', 'the deposed leader confirms nothing');
  cluster.heal(1);
  await cluster.advance(600);
  assert.ok((own.value ?? 0) >= (receipt.value?.index ?? Number.POSITIVE_INFINITY));
});

test('confirmReadIndex says NO_LEADER when no majority answers in time', async () => {
  const cluster = await elected();
  cluster.crash(2);
  cluster.crash(3);
  const fate = fateOf(cluster.stream(1).group.confirmReadIndex());
  await cluster.advance(LIMITS.readIndexTimeoutMs - 100);
  assert.equal(fate.state, 'pending');
  await cluster.advance(500);
  assert.equal(fate.code, 'NO_LEADER');
});

test('waitCommitted resolves at the commit, and rejects when its caller leaves', async () => {
  const cluster = await elected();
  const next = logIndex(cluster.stream(2).group.commitIndex + 1);
  const leaves = new AbortController();
  const left = fateOf(cluster.stream(2).group.waitCommitted(next, leaves.signal));
  const gone = fateOf(cluster.stream(2).group.waitCommitted(next, AbortSignal.abort()));
  const stays = fateOf(cluster.stream(2).group.waitCommitted(next));
  const known = fateOf(cluster.stream(2).group.waitCommitted(logIndex(1)));
  leaves.abort();
  await cluster.settle();
  assert.deepEqual([left.code, gone.code, stays.state, known.state], ['CANCELLED', 'CANCELLED', 'pending', 'resolved']);
  fateOf(cluster.stream(1).submit(batch()));
  await cluster.commitIsKnown();
  assert.equal(stays.state, 'resolved');
});

test('waiters are forgotten when their caller leaves', async () => {
  const waiters = new IndexWaiters(logIndex(0));
  const roles = new RoleWaiters();
  const leaves = new AbortController();
  const fates = [
    fateOf(waiters.reached(logIndex(5), leaves.signal)),
    fateOf(roles.changed(leaves.signal)),
    fateOf(roles.changed()),
  ];
  assert.equal(waiters.size + roles.size, 3);
  leaves.abort();
  await handled();
  assert.equal(waiters.size + roles.size, 1);
  assert.deepEqual(
    fates.map(({ state, code }) => code ?? state),
    ['CANCELLED', 'resolved', 'pending'],
  );
  roles.wake();
  await handled();
  assert.equal(fates[2]?.state, 'resolved');
  assert.equal(waiters.size + roles.size, 0);
});

// One question at a time

interface Asking {
  readonly clock: ManualClock;
  readonly asked: number[];
  readonly reads: ReadIndexes;
  readonly pass: (ms: number) => Promise<void>;
}

function asking(firstRequestId = 0): Asking {
  const clock = new ManualClock();
  const asked: number[] = [];
  const core = { readIndex: (requestId: number) => asked.push(requestId) > 0 };
  const inbox = {
    post: (take?: () => void): boolean => {
      take?.();
      return true;
    },
  };
  const reads = new ReadIndexes({ clock, core, inbox }, firstRequestId);
  const pass = async (ms: number): Promise<void> => {
    clock.stall(ms);
    clock.runTimers();
    await handled();
  };
  return { clock, asked, reads, pass };
}

test('reads that come while a question is open share the next one', async () => {
  const { asked, reads } = asking();
  const first = fateOf(reads.confirm());
  const rest = [1, 2, 3].map(() => fateOf(reads.confirm()));
  reads.settled(asked[0] ?? 0, logIndex(5));
  await handled();
  assert.equal(first.value, 5);
  assert.deepEqual(
    rest.map(({ state }) => state),
    ['pending', 'pending', 'pending'],
    'the answer covers only what was asked before it',
  );
  assert.equal(asked.length, 2);
  reads.settled(asked[1] ?? 0, logIndex(6));
  await handled();
  assert.deepEqual(
    rest.map(({ value }) => value),
    [6, 6, 6],
  );
});

test('a question is asked again, and a late answer to an earlier asking still counts', async () => {
  const { asked, reads, pass } = asking();
  const fate = fateOf(reads.confirm());
  for (let again = 0; again < 3; again++) await pass(200);
  assert.equal(asked.length, 4);
  reads.settled(asked[1] ?? 0, logIndex(9));
  await handled();
  assert.equal(
    fate.value,
    9,
    'it was asked after the read came; a leader that is 300 ms away would never be heard else',
  );
});

test('an answer to an earlier question confirms nothing that came later', async () => {
  const { asked, reads, pass } = asking();
  fateOf(reads.confirm());
  await pass(200);
  reads.settled(asked[0] ?? 0, logIndex(5));
  const later = fateOf(reads.confirm());
  reads.settled(asked[1] ?? 0, logIndex(5));
  await handled();
  assert.equal(later.state, 'pending');
  reads.settled(asked[2] ?? 0, logIndex(7));
  await handled();
  assert.equal(later.value, 7);
});

test('an answer to the process before a restart confirms nothing', async () => {
  const { asked, reads } = asking(7000);
  const fate = fateOf(reads.confirm());
  for (const requestId of [0, 1, 2, 6999]) reads.settled(requestId, logIndex(5));
  await handled();
  assert.equal(fate.state, 'pending');
  assert.ok((asked[0] ?? 0) >= 7000);
});

test('an unconfirmed answer is no answer', async () => {
  const { asked, reads, pass } = asking();
  const fate = fateOf(reads.confirm());
  const none: LogIndex = logIndex(0);
  reads.settled(asked[0] ?? 0, none);
  await pass(LIMITS.readIndexTimeoutMs);
  assert.equal(fate.code, 'NO_LEADER');
});

test('reads are bounded, and end when the node stops', async () => {
  const { clock, reads } = asking();
  fateOf(reads.confirm());
  const waiting = Array.from({ length: LIMITS.pendingReadIndexes }, () => fateOf(reads.confirm()));
  const refused = fateOf(reads.confirm());
  await handled();
  assert.equal(refused.code, 'TOO_MANY_REQUESTS');
  reads.stop();
  const late = fateOf(reads.confirm());
  await handled();
  assert.deepEqual(new Set(waiting.map(({ code }) => code)), new Set(['SHUTTING_DOWN']));
  assert.equal(late.code, 'SHUTTING_DOWN');
  assert.equal(clock.timers, 0);
});

test('what a dead leader left on disk is not read in place of what replaces it', async () => {
  const cluster = new StreamCluster();
  await cluster.advance(2000, 1);
  const submit = (actor: number, text: string) =>
    fateOf(cluster.stream(actor).submit(packBody([{ namespace: '/a', data: Buffer.from(text) }])));
  submit(1, 'kept');
  await cluster.settle();
  await cluster.advance(200);
  cluster.cut(1);
  submit(1, 'stale');
  await cluster.settle();
  cluster.crash(1);
  for (const survivor of [2, 3]) cluster.stream(survivor).group.onLink(actorId(1), 'refused');
  await cluster.advance(4000);
  const leader = [2, 3].find((actor) => cluster.stream(actor).group.role === 'leader');
  assert.ok(leader !== undefined);
  submit(leader, 'new');
  await cluster.settle();
  cluster.start(1);
  // Its disk is slow to replace what it holds.
  cluster.server(1).storage.held = true;
  cluster.cuts.delete(actorId(1));
  cluster.heal(1);
  await cluster.settle();
  await cluster.advance(300);
  const { commitIndex } = cluster.stream(1).group;
  assert.equal(
    commitIndex,
    cluster.stream(leader).group.commitIndex,
    'it knows what is committed before its disk holds it',
  );
  const texts = (await cluster.recordsOf(1, commitIndex))
    .filter(({ kind }) => kind === 'events')
    .flatMap(batchesOf)
    .flatMap((batch) => eventsOf(batch, 'all').map(({ data }) => Buffer.from(data).toString()));
  assert.deepEqual(texts, ['kept', 'new']);
});
