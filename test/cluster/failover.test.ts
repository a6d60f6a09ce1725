import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import { type CommandProcess, startFlotilla } from '../support/command-process.js';
import { RecordedProducers } from '../support/recorded-producers.js';
import { until } from '../support/until.js';

const KILLS = 4;
const WORKERS = 8;

test(
  'the leader is killed again and again under a producer: it goes on, nothing acknowledged is lost, nothing comes twice unannounced',
  withReadyCluster({}, async (cluster, context) => {
    let announced = 0;
    const client = cluster.client({
      onRetry: ({ events }) => {
        announced += events;
      },
    });
    const producers = new RecordedProducers((event) => client.produce(event), { workers: WORKERS });
    await producers.progress(100);
    for (let kill = 0; kill < KILLS; kill++) {
      const leader = await cluster.leader();
      await leader.kill('SIGKILL');
      const killedMs = performance.now();
      // Against the other two, while the killed one is still down.
      await producers.progress(WORKERS + 1);
      context.diagnostic(
        `kill ${kill + 1}: the next acknowledgements after ${Math.round(performance.now() - killedMs)} ms`,
      );
      assert.notEqual(await cluster.leader(), leader);
      await producers.progress(50);
      leader.start();
      await cluster.ready();
      await producers.progress(50);
    }
    await producers.stop();
    const dump = await cluster.equalDumps();
    producers.verify(dump);
    assert.equal(producers.refused.size + producers.unknown.size, 0, 'the client goes on by itself');
    const twice = dump.length - producers.acknowledged.size;
    assert.ok(twice <= announced, `${twice} events are there twice, and the client told of ${announced} that may be`);
    context.diagnostic(
      `${dump.length} events, ${announced} sent again after an unknown outcome, ${twice} of them there twice`,
    );
  }),
);

test(
  'with onUnknown: fail, a write that meets the kill is told to be unknown, and nothing at all comes twice',
  withReadyCluster({}, async (cluster, context) => {
    const client = cluster.client({ onUnknown: 'fail' });
    const producers = new RecordedProducers((event) => client.produce(event), { workers: WORKERS });
    await producers.progress(100);
    const leader = await cluster.leader();
    await leader.kill('SIGKILL');
    await producers.progress(50);
    await producers.stop();
    leader.start();
    await cluster.ready();
    const dump = await cluster.equalDumps();
    producers.verify(dump);
    assert.equal(new Set(dump.map(({ data }) => data)).size, dump.length, 'nothing is there twice');
    assert.equal(producers.refused.size, 0, 'what was certainly not proposed is sent again without a word');
    assert.ok(producers.unknown.size <= WORKERS, `${producers.unknown.size} outcomes are unknown of one kill`);
    context.diagnostic(`${producers.unknown.size} outcomes unknown`);
  }),
);

test(
  'produce --stdin that was pointed at the leader survives its death',
  withReadyCluster({}, async (cluster) => {
    const leader = await cluster.leader();
    const command = startFlotilla(['produce', '-n', '/stdin', '--stdin', '-p', String(leader.port)]);
    const before = sendLines(command, 0, 300);
    await printsIds(command, before);
    await leader.kill('SIGKILL');
    const all = sendLines(command, before, 300);
    await printsIds(command, all);
    command.endInput();
    const { code, stdout, stderr } = await command.result();
    assert.equal(code, 0, stderr);
    const printed = stdout.trimEnd().split('\n');
    assert.equal(printed.pop(), `Successfully produced ${all} events to /stdin`);
    assert.equal(printed.length, all);

    leader.start();
    await cluster.ready();
    const dump = await cluster.equalDumps();
    const byId = new Map(dump.map(({ id, data }) => [id, data]));
    for (const [position, id] of printed.entries()) assert.equal(byId.get(id), `line ${position}`, id);
    assert.deepEqual(printed, [...printed].sort(), 'the ids are in the order of the lines');
    const twice = dump.length - all;
    const announced = Number(/(\d+) events were sent again/.exec(stderr)?.[1] ?? 0);
    assert.ok(twice >= 0 && twice <= announced, `${twice} lines are there twice; it told: ${stderr}`);
    assert.ok(await followsEveryNode(cluster, dump.length));
  }),
);

function sendLines(command: CommandProcess, from: number, count: number): number {
  for (let line = from; line < from + count; line++) command.write(`line ${line}\n`);
  return from + count;
}

async function printsIds(command: CommandProcess, count: number): Promise<void> {
  await until(
    `${count} ids are printed`,
    () => {
      assert.equal(command.exit, undefined, command.stderr);
      return command.stdout.split('\n').length > count;
    },
    { state: () => command.stderr },
  );
}

/** The command line reads as many events at each node. */
async function followsEveryNode(cluster: Cluster, events: number): Promise<boolean> {
  const outputs = await Promise.all(cluster.nodes.map((node) => cluster.command(node, ['consume', '--json'])));
  for (const { code, stdout, stderr } of outputs) {
    assert.equal(code, 0, stderr);
    assert.equal(stdout.trimEnd().split('\n').length, events);
  }
  return new Set(outputs.map(({ stdout }) => stdout)).size === 1;
}
