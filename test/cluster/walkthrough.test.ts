/** Flo's walk-through, with `flotilla` for `flo` and for `flo-client`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as v from 'valibot';
import { type Cluster, withCluster } from '../support/cluster.js';
import { type CommandResult, flotilla, startFlotilla } from '../support/command-process.js';
import { until } from '../support/until.js';

/** Some say localhost, some 127.0.0.1. */
const spell = (port: number, from: number, to: number): string =>
  `${(from + to) % 2 === 0 ? 'localhost' : '127.0.0.1'}:${port}`;

const EGGS = '\nEventId: 0000000000000000000100001\nNamespace: /food/breakfast/eggs\nI made some eggs\n';
const BACON = '\nEventId: 0000000000000000000200001\nNamespace: /food/breakfast/bacon\ndata about bacon\n';
const SALAD = '\nEventId: 0000000000000000000300001\nNamespace: /food/lunch/salad\n';
const BEER = "\nEventId: 0000000000000000000400001\nNamespace: /drinks/beer\nwow, I'm such a great dancer\n";

test('the walk-through of the readme, letter by letter', withCluster({ spell }, walkThrough));

async function walkThrough(cluster: Cluster): Promise<void> {
  await startOneByOne(cluster, [3, 1, 2]);
  const port = String(cluster.node(1).port);
  /** The readme leaves out -H and -p where they are the defaults. */
  const env = { FLOTILLA_CLIENT_PORT: port };
  const run = (...args: string[]): Promise<CommandResult> => flotilla(args, { env });

  prints(
    await flotilla(['-H', 'localhost', '-p', port, 'produce', '-n', '/food/breakfast/eggs', '-d', 'I made some eggs']),
    '0000000000000000000100001\nSuccessfully produced 1 events to /food/breakfast/eggs\n',
  );
  const tail = startFlotilla(['consume', '-t'], { env });
  await tail.says(EGGS);

  prints(
    await run('produce', '-n', '/food/breakfast/bacon', '-d', 'data about bacon'),
    '0000000000000000000200001\nSuccessfully produced 1 events to /food/breakfast/bacon\n',
  );
  prints(
    await run('produce', '-n', '/food/lunch/salad'),
    '0000000000000000000300001\nSuccessfully produced 1 events to /food/lunch/salad\n',
  );
  prints(
    await run('produce', '-n', '/drinks/beer', '-d', "wow, I'm such a great dancer"),
    '0000000000000000000400001\nSuccessfully produced 1 events to /drinks/beer\n',
  );
  await tail.says(EGGS + BACON + SALAD + BEER);

  await consumesByGlob(cluster);

  // The actor in an id is the node that took the event in.
  prints(
    await cluster.command(cluster.node(2), ['produce', '-n', '/via', '-d', 'two']),
    '0000000000000000000500002\nSuccessfully produced 1 events to /via\n',
  );
  prints(
    await cluster.command(cluster.node(3), ['produce', '-n', '/via', '-d', 'three']),
    '0000000000000000000600003\nSuccessfully produced 1 events to /via\n',
  );
  const two = '\nEventId: 0000000000000000000500002\nNamespace: /via\ntwo\n';
  const three = '\nEventId: 0000000000000000000600003\nNamespace: /via\nthree\n';
  await tail.says(EGGS + BACON + SALAD + BEER + two + three);
  tail.kill('SIGINT');
  assert.deepEqual(await tail.result(), { code: 0, signal: null, stdout: tail.stdout, stderr: '' });

  await restOfTheOptions(cluster);
}

/** Each next one only when the one before is up and has found out that the others are missing. */
async function startOneByOne(cluster: Cluster, order: readonly number[]): Promise<void> {
  for (const actor of order) {
    const node = cluster.node(actor);
    node.start();
    if (actor === order.at(-1)) break;
    await until(`node ${actor} waits for the others`, async () => {
      const health = await node.readiness();
      return health?.status === 503 && health.reasons.some((reason) => reason.includes('no answer from'));
    });
  }
  await cluster.ready();
}

async function consumesByGlob(cluster: Cluster): Promise<void> {
  const expected: readonly [string | undefined, string][] = [
    [undefined, EGGS + BACON + SALAD + BEER],
    ['/**/*', EGGS + BACON + SALAD + BEER],
    ['/food/**', EGGS + BACON + SALAD],
    ['/food/breakfast/*', EGGS + BACON],
    ['/food/*/bacon', BACON],
    ['/*/beer', BEER],
    ['**/s[a-b]lad', SALAD],
    ['/food', ''],
  ];
  await Promise.all(
    expected.map(async ([glob, output], position) => {
      const node = cluster.node((position % 3) + 1);
      prints(await cluster.command(node, ['consume', ...(glob === undefined ? [] : ['-n', glob])]), output);
    }),
  );
}

async function restOfTheOptions(cluster: Cluster): Promise<void> {
  const at = (actor: number, ...args: string[]): Promise<CommandResult> => cluster.command(cluster.node(actor), args);
  prints(await at(2, 'consume', '--start-after', '2.1', '--limit', '1'), SALAD);
  prints(await at(3, 'consume', '-s', '0000000000000000000200001', '-l', '2', '-n', '/**/*'), SALAD + BEER);
  prints(
    await at(1, 'consume', '--backwards', '--end-before', '4.1', '-n', '/food/**', '--since', '1d'),
    SALAD + BACON + EGGS,
  );
  prints(await at(2, 'consume', '--last', '1', '--end-at', '4.1'), BEER);
  prints(await at(3, 'consume', '--until', '1d'), '');
  prints(await at(3, 'get', '3.1', '1.1'), SALAD + EGGS);

  prints(
    await at(1, 'produce', '-n', '/twice', '-d', 'a', '-d', 'b', '-P', '4.1'),
    '0000000000000000000700001\n0000000000000000000800001\nSuccessfully produced 2 events to /twice\n',
  );
  prints(
    await at(2, 'consume', '-n', '/twice'),
    '\nEventId: 0000000000000000000700001, Parent: 0000000000000000000400001\nNamespace: /twice\na\n' +
      '\nEventId: 0000000000000000000800001, Parent: 0000000000000000000400001\nNamespace: /twice\nb\n',
  );
  prints(
    await cluster.command(cluster.node(3), ['produce', '-n', '/lines', '--stdin'], { input: 'one\r\n\nthree' }),
    '0000000000000000000900003\n0000000000000000001000003\n0000000000000000001100003\n' +
      'Successfully produced 3 events to /lines\n',
  );
  const { stdout } = await at(1, 'consume', '-n', '/lines', '--json');
  const events = stdout
    .trimEnd()
    .split('\n')
    .map((line) => v.parse(timed, JSON.parse(line)));
  assert.deepEqual(
    events.map(({ timestamp: _timestamp, ...event }) => event),
    [
      { id: '0000000000000000000900003', namespace: '/lines', data: 'one' },
      { id: '0000000000000000001000003', namespace: '/lines' },
      { id: '0000000000000000001100003', namespace: '/lines', data: 'three' },
    ],
  );

  const status = v.parse(statusRows, JSON.parse((await at(2, 'cluster', 'status', '--json')).stdout));
  assert.deepEqual(status.map(({ role }) => role).sort(), ['follower', 'follower', 'leader']);
}

const timed = v.looseObject({ timestamp: v.pipe(v.string(), v.regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)) });
const statusRows = v.array(
  v.strictObject({
    actorId: v.pipe(v.number(), v.integer()),
    address: v.string(),
    role: v.picklist(['leader', 'follower', 'candidate', 'learner']),
    term: v.pipe(v.number(), v.integer()),
    commitIndex: v.pipe(v.number(), v.integer()),
    lastIndex: v.pipe(v.number(), v.integer()),
    lag: v.pipe(v.number(), v.integer()),
    reachable: v.literal(true),
  }),
);

function prints(result: CommandResult, stdout: string): void {
  assert.deepEqual(result, { code: 0, signal: null, stdout, stderr: '' });
}
