/**
 * What a user may type, or a machine may hold, that is wrong: an exit code, one line that says what to do, no stack
 * trace.
 */
import assert from 'node:assert/strict';
import {
  accessSync,
  chmodSync,
  constants,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { withReadyCluster } from '../support/cluster.js';
import { append, newEvent } from '../support/cluster-node.js';
import { COMMAND, type CommandOptions, type CommandResult, flotilla } from '../support/command-process.js';
import { freePorts } from '../support/free-ports.js';

const folder = mkdtempSync(join(tmpdir(), 'flotilla-bad-commands-'));
// Another user must be able to look into it.
chmodSync(folder, 0o755);
after(() => rmSync(folder, { recursive: true, force: true }));

interface BadCommand {
  readonly args: readonly string[];
  readonly code: number;
  readonly says: RegExp;
}

test('wrong command lines of a server end with 2 and name the option', async (context) => {
  writeFileSync(join(folder, 'bad.yaml'), 'port: [3000');
  writeFileSync(join(folder, 'unknown.yaml'), 'prot: 3000\n');
  const peer = ['--actor-id', '1', '--peer-addr'];
  await refuseAll(context, {
    'actor id 0': { args: ['-d', folder, '--actor-id', '0'], code: 2, says: /--actor-id.*65535/ },
    'actor id 65536': { args: ['-d', folder, '--actor-id', '65536'], code: 2, says: /--actor-id.*65535/ },
    'an actor id that is none': { args: ['-d', folder, '-A', 'one'], code: 2, says: /-A|--actor-id/ },
    'peers without an actor id': { args: ['-d', folder, '--peer-addr', '127.0.0.1:3001'], code: 2, says: /--actor-id/ },
    'a peer without a port': { args: ['-d', folder, ...peer, 'localhost'], code: 2, says: /--peer-addr.*HOST:PORT/ },
    'a peer with a port that is none': {
      args: ['-d', folder, ...peer, 'localhost:65536'],
      code: 2,
      says: /--peer-addr/,
    },
    'a peer that is an URL': { args: ['-d', folder, ...peer, 'http://localhost:3001'], code: 2, says: /--peer-addr/ },
    'port 65536': { args: ['-d', folder, '-p', '65536'], code: 2, says: /--port/ },
    'a port below none': { args: ['-d', folder, '--port=-1'], code: 2, says: /--port/ },
    'a host for everybody without --insecure': {
      args: ['-d', folder, '--host', '0.0.0.0', '--advertise', 'localhost:3000'],
      code: 2,
      says: /--insecure/,
    },
    'a configuration that is not there': { args: ['--config', join(folder, 'none.yaml')], code: 2, says: /none\.yaml/ },
    'a configuration that is a folder': { args: ['--config', folder], code: 2, says: /--config|config/ },
    'a configuration that is no YAML': { args: ['--config', join(folder, 'bad.yaml')], code: 2, says: /bad\.yaml/ },
    'a configuration with an unknown key': { args: ['--config', join(folder, 'unknown.yaml')], code: 2, says: /prot/ },
    'an unknown flag': { args: ['--datadir', folder], code: 2, says: /--datadir/ },
    'an unknown flag of serve': { args: ['serve', '--prot', '1'], code: 2, says: /--prot/ },
    'an unknown command': { args: ['produse', '-n', '/a'], code: 2, says: /produse.*produce/ },
    'a level that is none': { args: ['-d', folder, '-L', 'loud'], code: 2, says: /-L|--log/ },
  });
});

test('wrong command lines of a client end with 2 and name the option', async (context) => {
  await refuseAll(context, {
    'no namespace': { args: ['produce', '-d', 'x'], code: 2, says: /--namespace/ },
    'a blank namespace': { args: ['produce', '-n', ' '], code: 2, says: /--namespace/ },
    'a namespace of the system': { args: ['produce', '-n', '/$x'], code: 2, says: /--namespace/ },
    'a namespace of ten thousand characters': {
      args: ['produce', '-n', 'n'.repeat(10_000)],
      code: 2,
      says: /--namespace.*1024/,
    },
    'a parent that is no id': { args: ['produce', '-n', '/a', '-P', '7654'], code: 2, says: /--parent/ },
    'a glob with ** behind a name': { args: ['consume', '-n', '/foo**'], code: 2, says: /--namespace.*character 5/ },
    'a glob of ten thousand characters': {
      args: ['consume', '-n', `${'a*'.repeat(5000)}b`],
      code: 2,
      says: /--namespace.*1024/,
    },
    'a position without an actor': { args: ['consume', '-s', '4.'], code: 2, says: /--start-after/ },
    'a position of actor 65536': { args: ['consume', '-s', '1.65536'], code: 2, says: /--start-after/ },
    'a negative limit': { args: ['consume', '--limit', '-1'], code: 2, says: /--limit/ },
    'a limit that is no number': { args: ['consume', '-l', 'ten'], code: 2, says: /--limit/ },
    'port 65536 of a client': { args: ['consume', '-p', '65536'], code: 2, says: /--port/ },
    'a stream name with a slash': { args: ['consume', '--stream', 'a/b'], code: 2, says: /--stream/ },
    'an unknown flag of a client': { args: ['consume', '--tial'], code: 2, says: /--tial/ },
    'an unknown command of cluster': { args: ['cluster', 'statsu'], code: 2, says: /statsu/ },
  });
});

test('where nobody listens a client ends with 3', async (context) => {
  const [port = 0] = await freePorts(1);
  const nobody = { code: 3, says: new RegExp(`${port}.*UNREACHABLE`) };
  await refuseAll(context, {
    produce: { args: ['produce', '-n', '/a', '-p', String(port)], ...nobody },
    consume: { args: ['consume', '-p', String(port)], ...nobody },
    'cluster status': { args: ['cluster', 'status', '-p', String(port)], ...nobody },
  });
});

test(
  'a start that can not be meant, or can not work, ends with 1, and the nodes that run do not notice',
  withReadyCluster({ nodes: 2 }, async (cluster, context) => {
    const client = cluster.node(1).connect();
    await append(client, [newEvent({ namespace: '/good' })]);
    client.close();
    const { dataDir } = cluster;
    const [free = 0, taken = 0] = await freePorts(2);
    const listener = createServer().listen(taken, '127.0.0.1');
    const copied = join(folder, 'copied');
    cpSync(join(dataDir, 'node-1'), join(copied, 'node-4'), { recursive: true });
    writeFileSync(join(folder, 'file'), '');
    const peers = ['--peer-addr', cluster.node(2).address];
    const port = ['-p', String(free)];
    try {
      await refuseAll(context, {
        'one actor twice on one directory': {
          args: ['-d', dataDir, ...port, '--actor-id', '1', ...peers],
          code: 1,
          says: /actor 1 is already running on/,
        },
        'a taken port': {
          args: ['-d', join(folder, 'a'), '-p', String(taken)],
          code: 1,
          says: new RegExp(`${taken}.*--port`),
        },
        'a taken HTTP port': {
          args: ['-d', join(folder, 'b'), ...port, '--http-port', String(taken)],
          code: 1,
          says: new RegExp(`${taken}.*--http-port`),
        },
        'the folder of another node, copied': {
          args: ['-d', copied, ...port, '--actor-id', '4', ...peers],
          code: 1,
          says: /folder of actor 1, not of actor 4/,
        },
        'no peers, and an actor that the directory lacks': {
          args: ['-d', dataDir, ...port, '--actor-id', '9'],
          code: 1,
          says: /holds the data of actors 1, 2 and none of actor 9/,
        },
        'a data directory that is a file': { args: ['-d', join(folder, 'file'), ...port], code: 1, says: /file/ },
        'a member whose data was lost': {
          args: ['-d', join(folder, 'lost'), ...port, '--actor-id', '1', ...peers],
          code: 1,
          says: /actor id 1 is taken/,
        },
        'an unknown stream': {
          args: ['consume', '--stream', 'nosuch', '-p', String(cluster.node(1).port)],
          code: 1,
          says: /nosuch.*NOT_FOUND/,
        },
      });
      await context.test('an unwritable directory', () => refusesUnwritable(free));
    } finally {
      listener.close();
    }
    assert.equal((await cluster.equalDumps()).length, 1);
    assert.ok(cluster.nodes.every(({ running }) => running));
  }),
);

async function refusesUnwritable(port: number): Promise<void> {
  const dataDir = join(folder, 'unwritable');
  mkdirSync(dataDir);
  chmodSync(dataDir, 0o555);
  const args = ['-d', dataDir, '-p', String(port)];
  const nobody = 65_534;
  // Every directory is writable for root: another user must start the node, where that one may read the program at all.
  const isRoot = process.getuid?.() === 0;
  const options: CommandOptions = isRoot ? { uid: nobody, cwd: tmpdir() } : {};
  if (isRoot && !isReadableForAll(COMMAND)) args[1] = '/proc/flotilla';
  assertRefused(await flotilla(args, isRoot && args[1] === dataDir ? options : {}), {
    args,
    code: 1,
    says: /can't be written.*--data-dir/,
  });
}

function isReadableForAll(path: string): boolean {
  accessSync(path, constants.R_OK);
  for (let part = path; dirname(part) !== part; part = dirname(part)) {
    if ((statSync(part).mode & 0o005) !== 0o005) return false;
  }
  return true;
}

async function refuseAll(
  context: { test(name: string, body: () => Promise<void>): Promise<void> },
  commands: Readonly<Record<string, BadCommand>>,
): Promise<void> {
  const results = await inParallel(
    Object.values(commands).map((command) => () => flotilla(command.args, { cwd: folder })),
  );
  for (const [position, [name, command]] of Object.entries(commands).entries()) {
    await context.test(name, async () => assertRefused(present(results[position]), command));
  }
}

/** A few at a time: starting up, or waiting in vain, is all that such a command does. */
async function inParallel<T>(jobs: (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  const waiting = [...jobs.entries()];
  const worker = async (): Promise<void> => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) results[job[0]] = await job[1]();
  };
  await Promise.all([worker(), worker(), worker()]);
  return results;
}

function assertRefused(result: CommandResult, { code, says }: BadCommand): void {
  assert.equal(result.code, code, `${result.stdout}\n${result.stderr}`);
  assert.match(result.stderr, says);
  assert.match(result.stderr, /^error: [^\n]{1,600}\n$/, 'one line');
  assert.doesNotMatch(result.stdout + result.stderr, /\bat \S+ \(|node:internal|\.js:\d+/, 'no stack trace');
}

function present<T>(value: T | undefined): T {
  assert.ok(value !== undefined);
  return value;
}
