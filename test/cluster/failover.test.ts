import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import { type CommandProcess, startFlotilla } from '../support/command-process.js';
import { RecordedProducers } from '../support/recorded-producers.js';
import { until } from '../support/until.js';

const KILLS = 4;
const WORKERS = 8;

test(
  'the leader is killed again and again under a producer: it goes on, nothing acknowledged is lost, nothing ' +
    'comes twice',
  withReadyCluster({}, async (cluster, context) => {
    const client = cluster.client();
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
    assert.equal(dump.length, producers.acknowledged.size);
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
    assert.equal(dump.length, all, 'no line is there twice');
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
