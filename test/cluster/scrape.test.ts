import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withCluster, withReadyCluster } from '../support/cluster.js';
import { append, type ClusterNode, newEvent, readThrough } from '../support/cluster-node.js';
import { until } from '../support/until.js';

const EVENTS = 50;

/** What an operator's dashboards and alerts stand on. */
const FAMILIES: Readonly<Record<string, 'counter' | 'gauge' | 'histogram'>> = {
  flotilla_raft_term: 'gauge',
  flotilla_raft_role: 'gauge',
  flotilla_raft_elections_started_total: 'counter',
  flotilla_raft_elections_won_total: 'counter',
  flotilla_raft_commit_index: 'gauge',
  flotilla_raft_applied_index: 'gauge',
  flotilla_raft_replication_lag_entries: 'gauge',
  flotilla_events_in_total: 'counter',
  flotilla_events_out_total: 'counter',
  flotilla_events_in_bytes_total: 'counter',
  flotilla_events_out_bytes_total: 'counter',
  flotilla_append_duration_seconds: 'histogram',
  flotilla_persist_duration_seconds: 'histogram',
  flotilla_produce_streams: 'gauge',
  flotilla_read_streams: 'gauge',
  flotilla_event_loop_delay_p99_seconds: 'gauge',
  process_resident_memory_bytes: 'gauge',
  process_cpu_seconds_total: 'counter',
};

test(
  '/metrics of every node has what is promised, with values that fit what happened',
  withReadyCluster({}, async (cluster) => {
    for (const node of cluster.nodes) await traffic(node);
    const leader = await cluster.leader();
    await cluster.equalDumps();
    const scrapes = await Promise.all(cluster.nodes.map(async (node) => ({ node, scrape: await scrapeOf(node) })));
    for (const { node, scrape } of scrapes) {
      for (const [name, kind] of Object.entries(FAMILIES)) assert.equal(scrape.kinds.get(name), kind, name);
      const value = (sample: string): number => scrape.value(sample);
      assert.equal(value('flotilla_raft_role{role="leader"}'), node === leader ? 1 : 0);
      assert.equal(value('flotilla_raft_role{role="follower"}'), node === leader ? 0 : 1);
      assert.equal(value('flotilla_raft_term'), Number((await leader.status())?.term));
      assert.equal(value('flotilla_raft_leader_known'), 1);
      assert.equal(value('flotilla_events_in_total'), EVENTS, 'each node counts what it took in itself');
      assert.ok(value('flotilla_events_in_bytes_total') > EVENTS * 10);
      assert.ok(value('flotilla_events_out_total') >= EVENTS);
      assert.ok(value('flotilla_raft_commit_index') >= 1);
      assert.equal(value('flotilla_raft_applied_index'), value('flotilla_raft_commit_index'));
      assert.ok(value('flotilla_persist_duration_seconds_count') >= 1);
      assert.ok(value('flotilla_persist_duration_seconds_sum') < 60, 'seconds');
      assert.equal(value('flotilla_read_streams'), 0);
      assert.ok(value('process_resident_memory_bytes') > 20e6);
    }
    const ofLeader = scrapes.find(({ node }) => node === leader)?.scrape;
    assert.ok(ofLeader !== undefined);
    assert.equal(
      ofLeader.value('flotilla_append_duration_seconds_bucket{le="+Inf"}'),
      ofLeader.value('flotilla_append_duration_seconds_count'),
    );
    assert.ok(ofLeader.value('flotilla_append_duration_seconds_count') >= 3);
    for (const { node } of scrapes) {
      if (node !== leader)
        assert.equal(ofLeader.value(`flotilla_raft_replication_lag_entries{peer="${node.actor}"}`), 0);
    }
    assert.ok(scrapes.reduce((sum, { scrape }) => sum + scrape.value('flotilla_raft_elections_won_total'), 0) >= 1);
  }),
);

test(
  'health: live at once; ready only in a cluster with a leader, and until then with the name of who is missing; ' +
    'not any more while stopping',
  withCluster({}, async (cluster) => {
    const [first, second, third] = [cluster.node(1), cluster.node(2), cluster.node(3)];
    first.start();
    await until('node 1 says whom it waits for', async () => {
      const health = await first.readiness();
      return (
        health?.status === 503 &&
        [second, third].every(({ port }) => health.reasons.some((reason) => reason.includes(String(port))))
      );
    });
    await isLive(first);
    assert.equal((await first.http('/metrics'))?.status, 200, 'a forming node can be scraped');

    await cluster.start();
    for (const node of cluster.nodes) await isLive(node);
    assert.equal((await first.http('/nothing'))?.status, 404);

    await Promise.all([second.kill(), third.kill()]);
    await until('node 1 knows that nobody leads', async () => {
      const health = await first.readiness();
      return health?.status === 503 && health.reasons.includes('no leader is known');
    });
    await isLive(first);
  }),
);

test(
  'from SIGTERM on a node is not ready, and says why, until it is gone',
  withReadyCluster({}, async (cluster) => {
    const leader = await cluster.leader();
    const tail = leader.connect();
    const answers: (string | undefined)[] = [];
    try {
      const stopping = leader.kill('SIGTERM');
      let over = false;
      stopping.then(() => {
        over = true;
      });
      while (!over) {
        const health = await leader.readiness();
        answers.push(health === undefined ? undefined : `${health.status} ${health.reasons.join()}`);
      }
    } finally {
      tail.close();
    }
    const seen = [...new Set(answers)];
    // The first answers may still be those of before the signal arrived.
    assert.deepEqual(
      seen.filter((answer) => answer !== '200 '),
      ['503 the node is stopping', undefined].filter((answer) => seen.includes(answer)),
    );
    const after = answers.slice(answers.lastIndexOf('503 the node is stopping'));
    assert.ok(!after.includes('200 '), 'never ready again');
  }),
);

async function traffic(node: ClusterNode): Promise<void> {
  const client = node.connect();
  try {
    const events = Array.from({ length: EVENTS }, (_, event) =>
      newEvent({ namespace: '/traffic', data: Buffer.from(`event ${event}`) }),
    );
    await append(client, events);
    await readThrough(client);
  } finally {
    client.close();
  }
}

async function isLive(node: ClusterNode): Promise<void> {
  for (const path of ['/livez', '/healthz']) assert.equal((await node.http(path))?.status, 200, path);
}

interface Scrape {
  /** The samples by family. */
  readonly kinds: ReadonlyMap<string, string>;
  /** The value of a sample, labels included. */
  value(sample: string): number;
}

/** Reads Prometheus' text format, strictly: any line that is none fails. */
async function scrapeOf(node: ClusterNode): Promise<Scrape> {
  const answer = await node.http('/metrics');
  assert.equal(answer?.status, 200);
  const kinds = new Map<string, string>();
  const samples = new Map<string, number>();
  const helped = new Set<string>();
  for (const line of answer.text.trimEnd().split('\n')) {
    if (line === '') continue;
    const help = /^# HELP (\S+) \S.*$/.exec(line);
    const type = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line);
    const sample = /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="[^"\\]*",?)*\})? (-?[0-9.e+-]+|NaN|[+-]Inf)$/.exec(line);
    if (help !== null) helped.add(String(help[1]));
    else if (type !== null) kinds.set(String(type[1]), String(type[2]));
    else if (sample !== null) samples.set(`${sample[1]}${sample[2] ?? ''}`, Number(sample[3]));
    else assert.fail(`a line that is no line of the format: ${line}`);
  }
  for (const family of kinds.keys()) assert.ok(helped.has(family), `${family} has no help`);
  return {
    kinds,
    value: (sample) => {
      const value = samples.get(sample);
      assert.ok(value !== undefined, `node ${node.actor} has no ${sample}`);
      return value;
    },
  };
}
