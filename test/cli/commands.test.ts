import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import { packBody } from '../../src/wire/index.js';
import { runCli, runCliInto, startCli } from '../support/cli.js';
import { FakeLog, FakeNode } from '../support/fake-node.js';

const log = new FakeLog();
let node: FakeNode;

before(async () => {
  node = await new FakeNode(1, log).start();
});

after(async () => {
  await node.kill();
});

beforeEach(() => {
  log.batches.length = 0;
  node.onBatch = () => 'append';
  node.confirmed = true;
});

const id = (counter: number): string => `${String(counter).padStart(20, '0')}00001`;
const at = (...args: string[]): string[] => ['-H', '127.0.0.1', '-p', String(node.port), ...args];

test('produce prints each id on its line and how many events went where; consume prints them as they are', async () => {
  const produced = await runCli(at('produce', '-n', '/food', '-d', 'eggs', '-d', '', '-d', 'spam', '-P', '7.3'));
  assert.deepEqual([produced.code, produced.stderr], [0, '']);
  assert.equal(produced.stdout, `${id(1)}\n${id(2)}\n${id(3)}\nSuccessfully produced 3 events to /food\n`);
  assert.equal(log.batches.length, 1);
  const empty = await runCli(['produce', '-n', '/none', '--port', String(node.port)]);
  assert.equal(empty.stdout, `${id(4)}\nSuccessfully produced 1 events to /none\n`);

  const consumed = await runCli(at('consume', '-v', '-s', '1.1', '-l', '3'));
  assert.deepEqual([consumed.code, consumed.stderr], [0, '']);
  const parent = `${id(7).slice(0, 20)}00003`;
  assert.equal(
    consumed.stdout,
    `\nEventId: ${id(2)}, Parent: ${parent}\nNamespace: /food\nTimestamp: 2023-11-14T22:13:20.001Z\n` +
      `\nEventId: ${id(3)}, Parent: ${parent}\nNamespace: /food\nTimestamp: 2023-11-14T22:13:20.001Z\nspam\n` +
      `\nEventId: ${id(4)}\nNamespace: /none\nTimestamp: 2023-11-14T22:13:20.004Z\n`,
  );
  const json = await runCli(at('consume', '--json', '-n', '/none'));
  assert.equal(json.stdout, `{"id":"${id(4)}","namespace":"/none","timestamp":"2023-11-14T22:13:20.004Z"}\n`);
});

test('what stdout does not take is a failure, whatever the command; a reader that has gone is none', async () => {
  log.append(packBody([{ namespace: '/a', data: Buffer.from('one') }]), 1);
  const full = openSync('/dev/full', 'w');
  const commands = [at('consume'), at('consume', '-t'), at('dump'), at('export'), at('cluster', 'status'), ['--help']];
  const runs = await Promise.all(commands.map((command) => runCliInto(full, command)));
  closeSync(full);
  for (const [position, { code, stderr }] of runs.entries()) {
    assert.equal(code, 1, `${commands[position]}: ${stderr}`);
    assert.match(stderr, /^error: stdout can't be written: ENOSPC.*\n$/);
  }
  const unread = startCli(at('consume', '-t'));
  unread.stdout.destroy();
  let stderr = '';
  unread.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  assert.deepEqual([await once(unread, 'exit'), stderr], [[0, null], '']);
});

test('consume goes backwards, and get prints events by their ids', async () => {
  log.append(packBody([{ namespace: '/a', data: Buffer.from('one') }]), 1);
  log.append(packBody([{ namespace: '/b', data: Buffer.from('two') }]), 1);
  const one = `\nEventId: ${id(1)}\nNamespace: /a\none\n`;
  const two = `\nEventId: ${id(2)}\nNamespace: /b\ntwo\n`;
  const [backwards, got, missing, timed] = await Promise.all([
    runCli(at('consume', '--backwards')),
    runCli(at('get', '2.1', id(1))),
    runCli(at('get', '1.1', '3.1', '2.1')),
    runCli(
      at('consume', '--since', '2023-11-14T22:13:20Z', '--until', '1700000000002', '--start-at', '1.1', '--last', '5'),
    ),
  ]);
  assert.deepEqual([backwards.code, backwards.stdout], [0, two + one]);
  assert.deepEqual([got.code, got.stdout, got.stderr], [0, two + one, '']);
  assert.deepEqual([missing.code, missing.stdout], [1, one]);
  assert.match(missing.stderr, /^error: id: the stream has no event 0000000000000000000300001 \(NOT_FOUND\)\n$/);
  assert.equal(timed.code, 0);
  const request = node.reads.find(({ startAt }) => startAt === '1.1');
  assert.deepEqual([request?.sinceMs, request?.untilMs, request?.last], [1_700_000_000_000, 1_700_000_000_002, 5]);
});

test('--stdin takes lines as bytes, --ndjson takes events', async () => {
  const lines = await runCli(at('produce', '-n', '/l', '--stdin'), {
    stdin: Buffer.from('one\r\n\nt\xff\xfewo\nlast', 'latin1'),
  });
  assert.equal(lines.stdout, `${id(1)}\n${id(2)}\n${id(3)}\n${id(4)}\nSuccessfully produced 4 events to /l\n`);
  const events = '{"namespace":"/j","data":"{\\"a\\":1}","type":"t","metadata":{"k":"v"}}\n\n{"dataBase64":"//4="}\r\n';
  const ndjson = await runCli(at('produce', '-n', '/d', '--ndjson'), { stdin: events });
  assert.equal(ndjson.stdout, `${id(5)}\n${id(6)}\nSuccessfully produced 2 events to several namespaces\n`);
  const all = await runCli(at('consume'));
  assert.ok(all.stdoutBytes.includes(Buffer.from('\nt\xff\xfewo\n', 'latin1')));
  const last = await runCli(at('consume', '--json', '-s', '4.1'));
  const [first, second] = last.stdout.trimEnd().split('\n').slice(-2);
  assert.match(first ?? '', /"namespace":"\/j",.*"type":"t","metadata":\{"k":"v"\},"data":"\{\\"a\\":1\}"\}$/);
  assert.match(second ?? '', /"namespace":"\/d",.*"dataBase64":"\/\/4="\}$/);
});

test('many lines travel in few batches, and every id is printed in order', async () => {
  const before = node.received.length;
  const result = await runCli(at('produce', '-n', '/many', '--stdin'), {
    stdin: Array.from({ length: 50_000 }, (_, line) => `line ${line}\n`).join(''),
  });
  const printed = result.stdout.split('\n');
  assert.equal(printed.length, 50_002);
  assert.ok(printed.slice(0, 50_000).every((line, position) => line === id(position + 1)));
  assert.ok(node.received.length - before < 60);
  assert.equal(log.texts()[49_999], 'line 49999');
});

test('a refused line ends the run, with what was acknowledged and the exit code of the failure', async () => {
  const bad = await runCli(at('produce', '-n', '/b', '--ndjson'), {
    stdin: '{"data":"good"}\n{"data":1}\n{"data":"never"}\n',
  });
  assert.deepEqual([bad.code, bad.stdout], [1, '']);
  assert.match(
    bad.stderr,
    /^0 events are acknowledged\nerror: line 2\.data: it must be a string \(INVALID_ARGUMENT\)\n$/,
  );
  node.onBatch = () => ({ failure: { code: 'MESSAGE_TOO_LARGE', message: 'too large: the limit is 3' } });
  const refused = await runCli(at('produce', '-n', '/b', '-d', 'x'));
  assert.deepEqual(
    [refused.code, refused.stdout, refused.stderr],
    [1, '', 'error: too large: the limit is 3 (MESSAGE_TOO_LARGE)\n'],
  );
});

test('a produce that loses its answer sends the batch again, and its events are there once', async () => {
  let attempts = 0;
  node.onBatch = () => (attempts++ === 0 ? 'append-silently' : 'append');
  const arrived = once(node.arrivals, 'batch');
  const child = startCli(at('produce', '-n', '/u', '-d', 'x', '-d', 'y'));
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  await arrived;
  const { port } = node;
  await node.kill();
  await node.start(port);
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  assert.equal(stderr, '');
  assert.deepEqual(log.texts(), ['x', 'y']);
});

test('a produce whose time runs out while its events may be there ends with 4, and says so', async () => {
  const mute = await new FakeNode(1, new FakeLog()).start();
  const dying = await new FakeNode(1, new FakeLog()).start();
  mute.onBatch = () => 'append-silently';
  dying.onBatch = () => 'kill';
  const runs = [mute, dying].map(({ port }) => runCli(['produce', '-n', '/u', '-d', 'x', '-p', String(port)]));
  for (const { code, stdout, stderr } of await Promise.all(runs)) {
    assert.deepEqual([code, stdout], [4, '']);
    assert.match(
      stderr,
      /^error: the events may have been appended, or may still be: no answer within 10000 ms.* \(OUTCOME_UNKNOWN\)\n$/,
    );
  }
  assert.deepEqual(mute.log.texts(), ['x'], 'sent again it is there once');
  await mute.kill();
});

test('a produce that was forgotten while its answer was lost ends with 4, behind what is acknowledged', async () => {
  let batches = 0;
  node.onBatch = () => {
    batches++;
    if (batches === 1) return 'append';
    return { failure: { code: batches === 2 ? 'OUTCOME_UNKNOWN' : 'PRODUCER_EXPIRED', message: 'forgotten' } };
  };
  const child = startCli(at('produce', '-n', '/u', '--stdin'));
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (chunk: Buffer) => {
      said[name] += chunk.toString();
    });
  child.stdin.write('a\n');
  while (!said.stdout.includes(`${id(1)}\n`)) await once(child.stdout, 'data');
  child.stdin.end('b\n');
  const [code] = await once(child, 'close');
  assert.deepEqual([code, said.stdout], [4, `${id(1)}\n`]);
  assert.match(
    said.stderr,
    /^1 events are acknowledged\nerror: the events may have been appended.*forgotten \(OUTCOME_UNKNOWN\)\n$/,
  );
});

test('a consume whose end a majority did not confirm warns, and succeeds', async () => {
  node.confirmed = false;
  const result = await runCli(at('consume'));
  assert.deepEqual([result.code, result.stdout], [0, '']);
  assert.match(result.stderr, /^warning: .*could not be confirmed/);
});

test('Ctrl-C ends a tail with 0 and a produce with 130, which tells how far it came', async () => {
  log.append(packBody([{ namespace: '/t', data: Buffer.from('first') }]), 1);
  const tail = startCli(at('consume', '-t'));
  let shown = '';
  tail.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString();
  });
  while (!shown.includes('first\n')) await once(tail.stdout, 'data');
  log.append(packBody([{ namespace: '/t', data: Buffer.from('second') }]), 1);
  while (!shown.includes('second\n')) await once(tail.stdout, 'data');
  tail.kill('SIGINT');
  assert.deepEqual(await once(tail, 'close'), [0, null]);

  const produce = startCli(at('produce', '-n', '/i', '--stdin'));
  let stderr = '';
  produce.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  produce.stdin.write('a\nb\nhalf');
  let printed = '';
  produce.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  while (!printed.includes(`${id(4)}\n`)) await once(produce.stdout, 'data');
  produce.kill('SIGINT');
  assert.deepEqual(await once(produce, 'close'), [130, null]);
  assert.equal(stderr, 'interrupted: 2 events are acknowledged\n');
});

test('a reader that closes the pipe ends a consume quietly', async () => {
  for (let batch = 0; batch < 200; batch++) {
    log.append(
      packBody(Array.from({ length: 1000 }, () => ({ namespace: '/p', data: Buffer.from('x'.repeat(100)) }))),
      1,
    );
  }
  const child = startCli(at('consume'));
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  await once(child.stdout, 'data');
  child.stdout.destroy();
  assert.deepEqual(await once(child, 'close'), [0, null]);
  assert.equal(stderr, '');
});

test('cluster status --json is an array with a row per member', async () => {
  node.nodes = [
    { actorId: 1, address: node.address, role: 1, term: 3, commitIndex: 9, lastIndex: 10, reachable: true },
    { actorId: 2, address: '127.0.0.1:9' },
  ];
  const result = await runCli(at('cluster', 'status', '--json'));
  assert.deepEqual(JSON.parse(result.stdout), [
    {
      actorId: 1,
      address: node.address,
      role: 'leader',
      term: 3,
      commitIndex: 9,
      lastIndex: 10,
      lag: 0,
      reachable: true,
    },
    { actorId: 2, address: '127.0.0.1:9', role: null, term: 0, commitIndex: 0, lastIndex: 0, lag: 0, reachable: false },
  ]);
  node.nodes = [];
});

test('the environment stands in for flags, and a flag beats it', async () => {
  const env = {
    FLOTILLA_CLIENT_HOST: `127.0.0.1:1,127.0.0.1:${node.port}`,
    FLOTILLA_CLIENT_NAMESPACE: '/env',
    FLOTILLA_CLIENT_DATA: 'a,b',
  };
  assert.match((await runCli(['produce'], { env })).stdout, /produced 2 events to \/env\n$/);
  assert.match(
    (await runCli(['produce', '-n', '/flag', '-d', 'a,b'], { env })).stdout,
    /produced 1 events to \/flag\n$/,
  );
});
