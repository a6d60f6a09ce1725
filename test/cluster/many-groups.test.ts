import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GroupCluster } from '../support/group-cluster.js';

const GROUPS = Number(process.env['GROUPS'] ?? 40);

test(`${GROUPS} groups on three nodes elect, take writes, quiesce, and replace lost leaders`, async (context) => {
  const cluster = await GroupCluster.start(GROUPS);
  try {
    await cluster.leaders();
    for (let group = 1; group <= GROUPS; group++) {
      const counters = await Promise.all(cluster.nodes.map((node) => node.append(group, `group ${group}`)));
      assert.deepEqual(
        counters.sort((a, b) => a - b),
        [1, 2, 3],
        `group ${group}`,
      );
    }
    await cluster.allQuiet();
    const leaders = await cluster.leaders();
    const ledBy = (actor: number): number => [...leaders.values()].filter((leader) => leader === actor).length;
    const [lost] = [...cluster.nodes].sort((a, b) => ledBy(b.actor) - ledBy(a.actor));
    assert.ok(lost !== undefined);
    await lost.kill('SIGKILL');
    const killedMs = performance.now();
    const after = await cluster.leaders();
    context.diagnostic(
      `${ledBy(lost.actor)} groups had a leader again ${Math.round(performance.now() - killedMs)} ms after its death`,
    );
    const [survivor] = cluster.running;
    assert.ok(survivor !== undefined);
    for (const [group, leader] of after) {
      assert.notEqual(leader, lost.actor);
      assert.equal(await survivor.append(group, 'after the loss'), 4, `group ${group}`);
    }
    lost.start();
    await cluster.leaders();
    await cluster.allQuiet();
    const commits = [...(await cluster.statuses()).values()].map((rows) =>
      rows.map(({ group, commitIndex }) => `${group}: ${commitIndex}`),
    );
    assert.deepEqual(commits[1], commits[0]);
    assert.deepEqual(commits[2], commits[0]);
  } finally {
    await cluster.close();
  }
});

test('a node that stands still for an election time-out loses its groups, and serves no stale read', async () => {
  const cluster = await GroupCluster.start(3);
  try {
    const leaders = await cluster.leaders();
    await cluster.nodes[0]?.append(1, 'before');
    await cluster.allQuiet();
    const paused = cluster.node(leaders.get(1) ?? 1);
    const others = cluster.nodes.filter((node) => node !== paused);
    paused.signal('SIGSTOP');
    const [other] = others;
    assert.ok(other !== undefined);
    // Forwarded to the paused leader it would have an unknown outcome: waits until another leads.
    await cluster.leadersAt(others, [1]);
    assert.equal(await other.append(1, 'meanwhile'), 2);
    const written = (await other.status()).find(({ group }) => group === 1)?.commitIndex ?? Number.NaN;
    paused.signal('SIGCONT');
    assert.ok(
      (await paused.confirmedIndex(1)) >= written,
      'a confirmed read sees what another leader has acknowledged meanwhile',
    );
    await cluster.leaders();
    await cluster.allQuiet();
  } finally {
    await cluster.close();
  }
});
