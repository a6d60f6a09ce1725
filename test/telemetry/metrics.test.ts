import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { ERRORS } from '../../src/base/index.js';
import { EventLoopDelayMonitor } from '../../src/telemetry/event-loop-delay.js';
import { createMetrics, type Metrics, RAFT_ROLES } from '../../src/telemetry/index.js';

interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly labels: ReadonlySet<string>;
}

async function text(metrics: Metrics): Promise<string> {
  const { body } = await metrics.exposition();
  return body;
}

/** What an exposition says of itself, as a scraper reads it. */
function familiesOf(body: string): Family[] {
  const lines = body.split('\n');
  return lines.flatMap((line) => {
    const [, name = '', type = ''] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
    if (name === '') return [];
    const help = lines.find((other) => other.startsWith(`# HELP ${name} `))?.slice(`# HELP ${name} `.length) ?? '';
    const samples = lines.filter((other) => other.startsWith(`${name}{`) || other.startsWith(`${name}_bucket{`));
    return [
      {
        name,
        type,
        help,
        labels: new Set(
          samples.flatMap((sample) => [...sample.matchAll(/[{,](\w+)="/g)].map(([, label]) => label ?? '')),
        ),
      },
    ];
  });
}

async function withMetrics(body: (metrics: Metrics) => Promise<void>): Promise<void> {
  const metrics = createMetrics();
  try {
    await body(metrics);
  } finally {
    metrics.close();
  }
}

/** The rows of docs/metrics.md: name, kind, labels, meaning. */
function documented(): string[][] {
  const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
  return page
    .split('\n')
    .filter((line) => line.startsWith('| `flotilla_'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim().replaceAll('`', '')),
    );
}

describe('metrics', () => {
  it('each has help, a known prefix, base units and the suffix of its kind', () =>
    withMetrics(async (metrics) => {
      const families = familiesOf(await text(metrics));
      assert.ok(families.length > 40);
      for (const { name, type, help } of families) {
        assert.match(name, /^(flotilla|process|nodejs)_[a-z0-9_]+$/);
        assert.ok(help.length > 10 || !name.startsWith('flotilla_'), `${name} needs help text`);
        assert.equal(name.endsWith('_total'), type === 'counter', `${name} is a ${type}`);
        assert.doesNotMatch(name, /milli|micro|nano|_(ms|us|ns|kb|mb|kib|mib|minutes|hours|percent)(_|$)/, name);
        assert.doesNotMatch(name, /_(counter|gauge|histogram|summary|count|sum|bucket)(_|$)/, name);
        if (/duration|delay|latency/.test(name)) assert.match(name, /_seconds/);
      }
    }));

  it('each is in docs/metrics.md with its kind, labels and help text, and nothing else is', () =>
    withMetrics(async (metrics) => {
      metrics.clockSkew.set({ peer: 2 }, 1);
      metrics.matchIndex.set({ peer: 2 }, 1);
      metrics.replicationLag.set({ peer: 2 }, 1);
      metrics.peerLinks.set({ peer: 2 }, 'open');
      const ours = familiesOf(await text(metrics)).filter(({ name }) => name.startsWith('flotilla_'));
      const expected = ours.map(({ name, type, labels, help }) => [
        name,
        type,
        [...labels].filter((label) => label !== 'le').join(', '),
        help,
      ]);
      assert.deepEqual(documented().toSorted(), expected.toSorted());
    }));

  it('no label but the closed sets and the peer', () =>
    withMetrics(async (metrics) => {
      metrics.peerLinks.set({ peer: 2 }, 'refused');
      const labels = new Set(
        familiesOf(await text(metrics)).flatMap((family) =>
          family.name.startsWith('flotilla_') ? [...family.labels] : [],
        ),
      );
      assert.deepEqual([...labels].sort(), ['code', 'le', 'peer', 'role', 'state', 'type']);
    }));

  it('counters of closed sets stand at 0 from the start, so that the first increase is seen', () =>
    withMetrics(async (metrics) => {
      const body = await text(metrics);
      for (const code of Object.keys(ERRORS))
        assert.ok(body.includes(`flotilla_refusals_total{code="${code}"} 0`), code);
      assert.ok(body.includes('flotilla_peer_messages_sent_total{type="read-index-response"} 0'));
    }));

  it('count what they are told', () =>
    withMetrics(async (metrics) => {
      metrics.eventsIn.inc(5);
      metrics.eventsIn.inc();
      metrics.refusals.inc({ code: 'NO_LEADER' });
      metrics.messagesSent.inc({ type: 'append' }, 3);
      metrics.appendSeconds.observe(0.003);
      metrics.produceStreams.inc();
      metrics.produceStreams.inc();
      metrics.produceStreams.dec();
      const body = await text(metrics);
      for (const line of [
        'flotilla_events_in_total 6',
        'flotilla_refusals_total{code="NO_LEADER"} 1',
        'flotilla_peer_messages_sent_total{type="append"} 3',
        'flotilla_append_duration_seconds_bucket{le="0.0025"} 0',
        'flotilla_append_duration_seconds_bucket{le="0.005"} 1',
        'flotilla_append_duration_seconds_count 1',
        'flotilla_produce_streams 1',
      ]) {
        assert.ok(body.includes(`${line}\n`), line);
      }
    }));

  it('exactly one role is 1', () =>
    withMetrics(async (metrics) => {
      for (const role of RAFT_ROLES) {
        metrics.raftRole.set(role);
        const lines = (await text(metrics)).split('\n').filter((line) => line.startsWith('flotilla_raft_role{'));
        assert.equal(lines.length, RAFT_ROLES.length);
        assert.deepEqual(
          lines.filter((line) => line.endsWith(' 1')),
          [`flotilla_raft_role{role="${role}"} 1`],
        );
      }
    }));

  it('a peer that is forgotten leaves no series behind', () =>
    withMetrics(async (metrics) => {
      metrics.replicationLag.set({ peer: 2 }, 7);
      assert.match(await text(metrics), /replication_lag_entries\{peer="2"\} 7/);
      metrics.replicationLag.reset();
      assert.doesNotMatch(await text(metrics), /peer="2"/);
    }));

  it('mirrors run at each scrape, before anything is read', () =>
    withMetrics(async (metrics) => {
      let term = 0;
      metrics.onCollect(() => metrics.raftTerm.set(++term));
      await text(metrics);
      assert.match(await text(metrics), /^flotilla_raft_term 2$/m);
    }));

  it('two nodes of one process count apart', () =>
    withMetrics((one) =>
      withMetrics(async (other) => {
        one.eventsIn.inc(5);
        assert.match(await text(other), /^flotilla_events_in_total 0$/m);
      }),
    ));
});

describe('event-loop delay', () => {
  it('shows a stall, and not the interval of its own samples', async () => {
    const monitor = new EventLoopDelayMonitor();
    try {
      // Some quiet samples first: the median is that of a node that is not stalled.
      const untilMs = performance.now() + 400;
      while (performance.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, 5));
      const stallEndsMs = performance.now() + 120;
      while (performance.now() < stallEndsMs);
      let read = monitor.read();
      for (let tries = 0; tries < 100 && read.maxSeconds < 0.05; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        read = monitor.read();
      }
      assert.ok(read.maxSeconds > 0.05 && read.maxSeconds < 5, `max ${read.maxSeconds}`);
      assert.ok(read.p50Seconds < 0.02, `p50 ${read.p50Seconds}`);
    } finally {
      monitor.close();
    }
  });
});
