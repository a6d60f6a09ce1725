import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { LIMITS, logIndex } from '../../src/base/index.js';
import { batch, fateOf, GROUP, StreamCluster } from '../support/stream-cluster.js';

async function elected(leader = 1, actors = [1, 2, 3]): Promise<StreamCluster> {
  const cluster = new StreamCluster(actors);
  await cluster.elect(leader);
  return cluster;
}

test('what is produced is committed on all nodes, as the same records', async () => {
  const cluster = await elected();
  const receipts = [1, 2, 3].map((count) => fateOf(cluster.stream(1).submit(batch(count))));
  await cluster.commitIsKnown();
  assert.deepEqual(
    receipts.map(({ value }) => value?.firstCounter),
    [1, 2, 4],
  );
  const expected = await cluster.recordsOf(1, cluster.stream(1).group.commitIndex);
  for (const actor of [2, 3]) {
    assert.equal(cluster.stream(actor).group.commitIndex, cluster.stream(1).group.commitIndex);
    assert.deepEqual(await cluster.recordsOf(actor, cluster.stream(actor).group.commitIndex), expected);
    assert.deepEqual(cluster.server(actor).storage.disks.get(GROUP)?.records, expected);
  }
  assert.equal(cluster.server(1).observed.commits, 3);
});

test('batches of one turn share an entry, and what comes during a write shares the next one', async () => {
  const cluster = await elected();
  const before = cluster.stream(1).group.tail.index;
  for (let position = 0; position < 50; position++) fateOf(cluster.stream(1).submit(batch()));
  await cluster.settle();
  assert.equal(cluster.stream(1).group.tail.index, before + 1);
});

test('entries are bounded: batches that do not fit go into the next one', async () => {
  const cluster = await elected();
  const before = cluster.stream(1).group.tail.index;
  const half = Math.ceil(LIMITS.entryBytes / 2);
  for (let position = 0; position < 3; position++) fateOf(cluster.stream(1).submit(batch(1, half)));
  fateOf(cluster.stream(1).submit(batch(1, 2 * LIMITS.entryBytes)));
  await cluster.commitIsKnown();
  assert.equal(cluster.stream(1).group.tail.index, before + 4);
  assert.equal(cluster.stream(3).group.commitIndex, before + 4);
});

test('a forwarded batch carries the actor that took it in, and is answered when that node can serve it', async () => {
  const cluster = await elected();
  const receipt = fateOf(cluster.stream(3).submit(batch(2)));
  const own = fateOf(cluster.stream(1).submit(batch(1)));
  await cluster.commitIsKnown();
  assert.equal(own.state, 'resolved');
  assert.equal(receipt.state, 'resolved');
  assert.ok(cluster.stream(3).group.commitIndex >= (receipt.value?.index ?? Number.POSITIVE_INFINITY));
  assert.deepEqual(await cluster.eventsOf(2), ['1.3', '2.3', '3.1']);
});

test('a forwarded batch is not answered before the commit is known here', async () => {
  const cluster = await elected();
  const receipt = fateOf(cluster.stream(3).submit(batch()));
  await cluster.settle();
  assert.equal(receipt.state, 'resolved');
  cluster.server(3).storage.held = true;
  const second = fateOf(cluster.stream(3).submit(batch()));
  cluster.server(1).clock.runSoon();
  const toThree = cluster.inFlight.filter(({ to }) => to === 3);
  cluster.inFlight = cluster.inFlight.filter(({ to }) => to !== 3);
  await cluster.settle();
  assert.equal(cluster.stream(1).group.commitIndex, cluster.stream(1).group.tail.index);
  assert.equal(second.state, 'pending', 'committed by 1 and 2, not yet known to 3');
  cluster.server(3).storage.release();
  cluster.inFlight.push(...toThree);
  await cluster.advance(200);
  assert.equal(second.state, 'resolved');
});

test('ids have no gaps, across changes of the leader', async () => {
  const cluster = await elected();
  for (const leader of [1, 2, 3, 1]) {
    if (cluster.stream(leader).group.role !== 'leader') {
      const current = [1, 2, 3].find((actor) => cluster.stream(actor).group.role === 'leader') ?? 1;
      cluster.cut(current);
      await cluster.advance(1500, current);
      await cluster.elect(leader);
      cluster.heal(current);
      await cluster.advance(300);
    }
    for (const actor of [1, 2, 3]) {
      const receipt = fateOf(cluster.stream(actor).submit(batch(2)));
      await cluster.settle();
      assert.equal(receipt.state, 'resolved', `through ${actor} under leader ${leader}: ${receipt.code}`);
    }
  }
  await cluster.advance(300);
  const counters = (await cluster.eventsOf(2)).map((id) => Number(id.split('.')[0]));
  assert.deepEqual(
    counters,
    Array.from({ length: 24 }, (_, position) => position + 1),
  );
  for (const actor of [1, 3]) assert.deepEqual(await cluster.eventsOf(actor), await cluster.eventsOf(2));
});

test('nothing is acknowledged before it is durable on a majority', async () => {
  const cluster = await elected();
  for (const actor of [1, 2, 3]) cluster.server(actor).storage.held = true;
  const receipt = fateOf(cluster.stream(1).submit(batch()));
  await cluster.settle();
  assert.equal(receipt.state, 'pending');
  cluster.server(1).storage.completeNext();
  await cluster.settle();
  assert.equal(receipt.state, 'pending', 'only the leader has it on disk');
  cluster.server(2).storage.completeNext();
  await cluster.settle();
  assert.equal(receipt.state, 'resolved');
});

test('the first failed write ends the replica, once, and with nothing acknowledged', async () => {
  const cluster = await elected();
  for (const actor of [1, 2, 3]) cluster.server(actor).storage.held = true;
  const proposed = fateOf(cluster.stream(1).submit(batch()));
  await cluster.settle();
  const waiting = fateOf(cluster.stream(1).submit(batch()));
  const failure = new Error('input/output error');
  cluster.server(1).storage.fail(failure);
  await turn();
  await cluster.settle();
  assert.deepEqual(cluster.server(1).fatal, [failure]);
  assert.equal(proposed.code, 'OUTCOME_UNKNOWN');
  assert.equal(waiting.code, 'SHUTTING_DOWN', 'it was never in the log');
  cluster.inFlight = [];
  cluster
    .stream(1)
    .group.onMessage(
      cluster.server(2).actor,
      { type: 'heartbeat-result', term: cluster.stream(1).group.term, round: 1, quiesced: false },
      [],
    );
  await cluster.advance(3000, 1);
  assert.deepEqual(cluster.inFlight, [], 'no message leaves any more');
  assert.equal(cluster.server(1).fatal.length, 1);
  assert.equal(cluster.server(1).clock.timers, 0);
});

test('a follower with a failed write acknowledges nothing', async () => {
  const cluster = await elected();
  cluster.server(2).storage.held = true;
  cluster.cut(3);
  const receipt = fateOf(cluster.stream(1).submit(batch()));
  await cluster.settle();
  cluster.server(2).storage.fail(new Error('no space left on device'));
  await cluster.settle();
  assert.equal(cluster.server(2).fatal.length, 1);
  assert.equal(receipt.state, 'pending');
});

test('a node that was away catches up from storage, when it is no longer in memory', async () => {
  const cluster = new StreamCluster([1, 2, 3], { cacheBytes: 2000 });
  await cluster.elect(1);
  cluster.crash(3);
  for (let position = 0; position < 40; position++) {
    fateOf(cluster.stream(1).submit(batch(3, 100)));
    await cluster.settle();
  }
  assert.ok(cluster.stream(1).group.cachedBytes <= 2000);
  cluster.start(3);
  await cluster.advance(300);
  assert.ok(cluster.server(1).storage.readRequests > 0);
  assert.equal(cluster.stream(3).group.commitIndex, cluster.stream(1).group.commitIndex);
  assert.deepEqual(await cluster.eventsOf(3), await cluster.eventsOf(1));
});

test('a link that drops what it is given does not make the leader read its disk over and over', async () => {
  const cluster = new StreamCluster([1, 2, 3], { cacheBytes: 2000 });
  await cluster.elect(1);
  cluster.crash(3);
  for (let position = 0; position < 40; position++) {
    fateOf(cluster.stream(1).submit(batch(3, 100)));
    await cluster.settle();
  }
  const before = cluster.server(1).storage.readRequests;
  await cluster.advance(100);
  assert.ok(cluster.server(1).storage.readRequests - before <= 3);
});

test('a deposed leader takes over what the next one committed, also while its own write is under way', async () => {
  const cluster = await elected();
  const { storage, fatal } = cluster.server(1);
  storage.held = true;
  cluster.cut(1);
  fateOf(cluster.stream(1).submit(batch()));
  await cluster.settle();
  assert.equal(storage.waiting.length, 1);
  await cluster.elect(2);
  fateOf(cluster.stream(2).submit(batch()));
  await cluster.settle();
  cluster.heal(1);
  await cluster.advance(200);
  // The entries of both histories are on their way to the disk one after the other, and the second is committed
  // already.
  while (storage.waiting.length > 0) {
    storage.completeNext();
    await cluster.settle();
  }
  assert.deepEqual(fatal, []);
  storage.release();
  await cluster.advance(200);
  assert.deepEqual(await cluster.eventsOf(1), ['1.2']);
  assert.deepEqual(storage.disks.get(GROUP)?.records, cluster.server(2).storage.disks.get(GROUP)?.records);
});

test('all nodes, killed at once, have everything that was acknowledged', async () => {
  const cluster = await elected();
  const receipt = fateOf(cluster.stream(2).submit(batch(5)));
  await cluster.settle();
  assert.equal(receipt.state, 'resolved');
  for (const actor of [1, 2, 3]) cluster.server(actor).storage.held = true;
  const lost = fateOf(cluster.stream(1).submit(batch(1)));
  await cluster.settle();
  for (const actor of [1, 2, 3]) cluster.crash(actor);
  for (const actor of [1, 2, 3]) cluster.start(actor);
  await cluster.elect(2);
  await cluster.advance(200);
  assert.equal(lost.state, 'pending');
  for (const actor of [1, 2, 3]) assert.deepEqual(await cluster.eventsOf(actor), ['1.2', '2.2', '3.2', '4.2', '5.2']);
});

test('a single node commits by itself', async () => {
  const cluster = await elected(1, [1]);
  const receipt = fateOf(cluster.stream(1).submit(batch(3)));
  await cluster.settle();
  assert.equal(receipt.state, 'resolved');
  assert.deepEqual(await cluster.eventsOf(1), ['1.1', '2.1', '3.1']);
});

test('handOver moves leadership to another node, and resolves when that is done', async () => {
  const cluster = await elected();
  const done = fateOf(cluster.stream(1).group.handOver(5000));
  await cluster.settle();
  assert.equal(done.state, 'resolved');
  assert.equal([2, 3].filter((actor) => cluster.stream(actor).group.role === 'leader').length, 1);
});

test('handOver ends when its time is up, and at once where there is no other node', async () => {
  const cluster = await elected();
  cluster.cut(1);
  const done = fateOf(cluster.stream(1).group.handOver(50));
  await cluster.settle();
  assert.equal(done.state, 'pending');
  await cluster.advance(60, 1);
  assert.equal(done.state, 'resolved');
  const alone = await elected(1, [1]);
  await alone.stream(1).group.handOver(50);
  assert.equal(alone.stream(1).group.role, 'leader');
});

test('a late tick takes in the heartbeats that wait, before the time counts', async () => {
  const cluster = await elected();
  await cluster.advance(300);
  const { clock, stream, observed } = cluster.server(2);
  const campaigns = observed.campaigns;
  // Node 2 stands still for three seconds; the leader's heartbeats pile up unread.
  cluster.server(1).clock.stall(100);
  cluster.server(1).clock.runTimers();
  clock.stall(3000);
  clock.runTimers();
  clock.runSoon();
  assert.equal(stream.group.role, 'follower', 'the poll phase has not run yet');
  cluster.deliver();
  clock.runSoon();
  await cluster.settle();
  assert.equal(observed.campaigns, campaigns);
  assert.equal(stream.group.leader, 1);
});

test('a late tick with nothing unread campaigns', async () => {
  const cluster = await elected();
  const { clock, observed } = cluster.server(2);
  const campaigns = observed.campaigns;
  clock.stall(3000);
  clock.runTimers();
  clock.runSoon();
  clock.runSoon();
  assert.equal(observed.campaigns, campaigns + 1);
});

test('a read gives out committed records only', async () => {
  const cluster = await elected();
  fateOf(cluster.stream(1).submit(batch()));
  await cluster.settle();
  for (const actor of [2, 3]) cluster.server(actor).storage.held = true;
  fateOf(cluster.stream(1).submit(batch()));
  await cluster.settle();
  const stream = cluster.stream(1);
  assert.equal(stream.group.tail.index, stream.group.commitIndex + 1);
  const records = await stream.group.read(logIndex(1), logIndex(99), 1_000_000);
  assert.equal(records.at(-1)?.index, stream.group.commitIndex);
});

test('a node that stops tells all that wait', async () => {
  const cluster = await elected();
  for (const actor of [2, 3]) cluster.server(actor).storage.held = true;
  const { stream, storage } = cluster.server(1);
  storage.held = true;
  const proposed = fateOf(stream.submit(batch()));
  await cluster.settle();
  const fates = {
    proposed,
    committed: fateOf(stream.group.waitCommitted(logIndex(99))),
    role: fateOf(stream.group.roleChanged()),
    read: fateOf(stream.group.confirmReadIndex()),
  };
  stream.group.stop();
  const late = {
    submitted: fateOf(stream.submit(batch())),
    forwarded: fateOf(stream.proposeFor(cluster.server(2).actor, batch())),
    read: fateOf(stream.group.confirmReadIndex()),
  };
  await cluster.settle();
  assert.equal(fates.proposed.code, 'OUTCOME_UNKNOWN');
  assert.equal(fates.committed.code, 'SHUTTING_DOWN');
  assert.equal(fates.role.state, 'resolved');
  assert.equal(fates.read.code, 'SHUTTING_DOWN');
  assert.deepEqual(
    [late.submitted.code, late.forwarded.code, late.read.code],
    ['SHUTTING_DOWN', 'SHUTTING_DOWN', 'SHUTTING_DOWN'],
  );
  assert.equal(cluster.server(1).fatal.length, 0);
  assert.equal(cluster.server(1).clock.timers, 0);
});
