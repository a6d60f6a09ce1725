import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../src/base/index.js';
import {
  type ConfigInput,
  environmentName,
  formatAddress,
  OPTION_NAMES,
  optionOf,
  resolveConfig,
  type ServerConfig,
} from '../../src/node/config/index.js';
import { LOG_LEVELS, LOG_MODULES } from '../../src/telemetry/index.js';

type Given = Partial<ConfigInput> & { readonly file?: string };

async function resolved({ file, ...given }: Given): Promise<ServerConfig> {
  const resolution = await attempt({ ...given, ...(file === undefined ? {} : { file }) });
  assert.ok('config' in resolution, JSON.stringify(resolution));
  return resolution.config;
}

async function problems(given: Given): Promise<readonly string[]> {
  const resolution = await attempt(given);
  assert.ok('problems' in resolution, JSON.stringify(resolution));
  return resolution.problems;
}

function attempt({ flags = {}, env = {}, readFile, file }: Given) {
  return resolveConfig({
    flags: file === undefined ? flags : { ...flags, config: 'f.yaml' },
    env,
    readFile: readFile ?? (() => file ?? ''),
  });
}

/** One problem, which contains each of the words. */
async function refused(given: Given, ...words: string[]): Promise<void> {
  const found = await problems(given);
  assert.equal(found.length, 1, JSON.stringify(found));
  for (const word of words) assert.ok(found[0]?.includes(word), `${JSON.stringify(word)} is missing in: ${found[0]}`);
}

describe('configuration: defaults', () => {
  it('are those of the contract', async () => {
    assert.deepEqual(await resolved({}), {
      actor: 1,
      host: '127.0.0.1',
      port: 3000,
      advertise: { host: '127.0.0.1', port: 3000 },
      httpPort: 4000,
      insecure: false,
      peerAddresses: [],
      electionTimeoutMs: 1000,
      heartbeatIntervalMs: 100,
      watchdogTimeoutMs: 10_000,
      dataDirectory: resolve('.flotilla'),
      cacheBytes: 64 * 1024 * 1024,
      // An eighth of the cache, which is less than 64 MiB.
      segmentBytes: 8 * 1024 * 1024,
      minFreeBytes: undefined,
      retention: {},
      eventDataBytes: 1024 * 1024,
      logLevels: { default: 'info', modules: {} },
      logDestination: { kind: 'stdout' },
      warnings: [],
    });
  });

  it('shown by the help text are the defaults', async () => {
    const flags = Object.fromEntries(
      OPTION_NAMES.flatMap((name) => {
        const shown = optionOf(name).default;
        // Words stand for what other settings lead to.
        return shown === undefined || /host:port|port \+|stdout|two segments|of the cache/.test(shown)
          ? []
          : [[name, optionOf(name).repeatable ? [shown] : shown]];
      }),
    );
    assert.deepEqual(await resolved({ flags }), await resolved({}));
  });

  it('the help text names every log level and module', () => {
    for (const word of [...LOG_LEVELS, ...LOG_MODULES]) assert.ok(optionOf('log').summary.includes(word), word);
  });
});

describe('configuration: sources', () => {
  it('a flag beats the environment beats the file, option by option', async () => {
    const config = await resolved({
      flags: { port: '3001' },
      env: { FLOTILLA_SERVER_PORT: '3002', FLOTILLA_SERVER_ACTOR_ID: '7' },
      file: 'port: 3003\nactor-id: 8\nhttp-port: 5000\n',
    });
    assert.deepEqual([config.port, config.actor, config.httpPort], [3001, 7, 5000]);
  });

  it('the environment names the file, too', async () => {
    const config = await resolved({
      env: { FLOTILLA_SERVER_CONFIG: 'a.yaml' },
      readFile: (path) => (path === 'a.yaml' ? 'port: 3100' : ''),
    });
    assert.equal(config.port, 3100);
  });

  it('an empty variable is none', async () => {
    assert.equal((await resolved({ env: { FLOTILLA_SERVER_PORT: '' } })).port, 3000);
  });

  it('repeatable options are lists: repeated flags, comma lists, YAML lists or one word', async () => {
    const expected = ['a:1', 'b:2'];
    const id = { 'actor-id': '1' } as const;
    assert.deepEqual(
      (await resolved({ flags: { ...id, 'peer-addr': ['a:1', 'b:2', 'a:1'] } })).peerAddresses,
      expected,
    );
    assert.deepEqual(
      (await resolved({ flags: id, env: { FLOTILLA_SERVER_PEER_ADDR: 'a:1, b:2,' } })).peerAddresses,
      expected,
    );
    assert.deepEqual((await resolved({ flags: id, file: 'peer-addr: ["a:1", "b:2"]' })).peerAddresses, expected);
    assert.deepEqual((await resolved({ flags: id, file: 'peer-addr: a:1' })).peerAddresses, ['a:1']);
  });

  it('each option has a variable of its own', () => {
    assert.equal(environmentName('max-cache-memory'), 'FLOTILLA_SERVER_MAX_CACHE_MEMORY');
    assert.equal(new Set(OPTION_NAMES.map(environmentName)).size, OPTION_NAMES.length);
  });

  it('a variable that looks like ours and is none is warned of; those of Kubernetes are not', async () => {
    const { warnings } = await resolved({
      env: {
        FLOTILLA_SERVER_PEER_ADRR: 'a:1',
        FLOTILLA_SERVER_SERVICE_HOST: '10.0.0.1',
        FLOTILLA_SERVER_PORT_3000_TCP: 'x',
        FLOTILLA_PORT: 'x',
      },
    });
    assert.deepEqual(warnings, ['FLOTILLA_SERVER_PEER_ADRR is no setting and has no effect']);
  });

  it('a port that Kubernetes has set is explained', async () => {
    await refused(
      { env: { FLOTILLA_SERVER_PORT: 'tcp://10.0.0.1:3000' } },
      'FLOTILLA_SERVER_PORT',
      'enableServiceLinks',
    );
  });

  it('a problem names where the setting was given', async () => {
    await refused({ flags: { port: 'x' } }, '--port: ', '"x"');
    await refused({ env: { FLOTILLA_SERVER_PORT: 'x' } }, 'FLOTILLA_SERVER_PORT: ');
    await refused({ file: '# first line\nport: x\n' }, 'port (f.yaml, line 2)');
  });

  it('all problems are told at once', async () => {
    const found = await problems({
      flags: { port: '65536', 'actor-id': '0' },
      env: { FLOTILLA_SERVER_MAX_AGE: 'long' },
      file: 'prot: 1\n',
    });
    assert.equal(found.length, 4, JSON.stringify(found));
  });
});

describe('configuration: file', () => {
  it('takes every option that is supported by its long name', async () => {
    const config = await resolved({ file: readFileSync(new URL('every-option.yaml', import.meta.url), 'utf8') });
    assert.deepEqual(config.peerAddresses, ['node2:3000', '[::1]:3000']);
    assert.deepEqual(config.logLevels, { default: 'warn', modules: { raft: 'debug' } });
    assert.equal(config.cacheBytes, 128 * 1024 * 1024);
    assert.equal(config.eventDataBytes, 4096);
    assert.equal(config.electionTimeoutMs, 2000);
    assert.equal(config.httpPort, undefined);
    assert.equal(config.insecure, true);
    assert.deepEqual(config.advertise, { host: 'node1', port: 3000 });
  });

  it('an empty one says nothing', async () => {
    assert.equal((await resolved({ file: '# nothing\n' })).port, 3000);
  });

  for (const [what, file, ...words] of [
    ['an unknown key', 'port: 1\nprot: 2\n', 'line 2', '"prot" is no setting', 'peer-addr'],
    ['a camel-case key', 'actorId: 2\n', '"actorId"'],
    ['a key of Object.prototype', '__proto__: 2\n', '"__proto__"'],
    ['the key config', 'config: other.yaml\n', '"config"'],
    ['a key twice', 'port: 1\nport: 2\n', 'line 2', 'unique'],
    ['broken YAML', 'port: [1\n', 'f.yaml'],
    ['a list', '- port\n', 'key: value'],
    ['a map as a value', 'port:\n  a: 1\n', 'port (f.yaml, line 1)', 'single value'],
    ['no value', 'port:\n', 'port (f.yaml, line 1)'],
    ['an unknown tag', 'port: !boom 1\n', 'line 1'],
    ['aliases without end', `peer-addr: [&a "a:1", ${'*a, '.repeat(40)}]\n`, 'line 1'],
    ['more than it may be long', `# ${'x'.repeat(LIMITS.configFileBytes)}`, 'larger than'],
  ] as const) {
    it(`is refused with ${what}`, async () => {
      await refused({ file }, ...words);
    });
  }

  it('is refused where it cannot be read, with the path', async () => {
    await refused(
      {
        flags: { config: '/no/such' },
        readFile: () => {
          throw new Error('ENOENT');
        },
      },
      '--config /no/such',
      'ENOENT',
    );
  });
});

describe('configuration: values', () => {
  it('sizes take KiB, MiB, GiB or bytes', async () => {
    for (const [text, bytes] of [
      ['2097152', 2097152],
      ['2048KiB', 2097152],
      ['2 MiB', 2097152],
      ['1GiB', 1024 ** 3],
    ] as const) {
      assert.equal((await resolved({ flags: { 'segment-bytes': text } })).segmentBytes, bytes);
    }
    for (const text of ['', '1.5MiB', '1MB', '1mib', '-1MiB', '0x10', '1e9', 'MiB', '999999999999999999']) {
      await refused({ flags: { 'segment-bytes': text } }, '--segment-bytes', 'MiB');
    }
  });

  it('sizes have a range, which the message tells', async () => {
    await refused({ flags: { 'segment-bytes': '1KiB' } }, 'from 1MiB to 1GiB');
    await refused({ flags: { 'max-event-bytes': '17MiB' } }, 'to 16MiB');
    await refused({ flags: { 'max-cache-memory': '0' } }, 'from 1MiB to 64GiB');
  });

  it('durations take ms, s, m, h, d and need one', async () => {
    for (const [text, ms] of [
      ['1500ms', 1500],
      ['2s', 2000],
      ['1m', 60_000],
    ] as const) {
      assert.equal((await resolved({ flags: { 'election-timeout': text } })).electionTimeoutMs, ms);
    }
    for (const text of ['1000', '1.5s', 's', '-1s', '1S', '2h'])
      await refused({ flags: { 'election-timeout': text } }, '--election-timeout');
  });

  it('the watchdog has a time-out of at least a second, and 0 turns it off', async () => {
    assert.equal((await resolved({ flags: { 'watchdog-timeout': '1m' } })).watchdogTimeoutMs, 60_000);
    for (const off of ['0', '0s'])
      assert.equal((await resolved({ env: { FLOTILLA_SERVER_WATCHDOG_TIMEOUT: off } })).watchdogTimeoutMs, undefined);
    await refused({ flags: { 'watchdog-timeout': '999ms' } }, '--watchdog-timeout', 'from 1000ms');
    await refused({ flags: { 'watchdog-timeout': '10' } }, '--watchdog-timeout', 'a duration with its unit');
  });

  it('an actor id is 1 to 65535', async () => {
    assert.equal((await resolved({ flags: { 'actor-id': '65535' } })).actor, 65535);
    for (const id of ['0', '65536', '-1', '1.5', '1e3', '', 'abc', '99999999999999999999']) {
      await refused({ flags: { 'actor-id': id } }, '--actor-id', '1 to 65535');
    }
  });

  it('a port is 0 to 65535, and HTTP follows it by 1000', async () => {
    assert.equal((await resolved({ flags: { port: '3001' } })).httpPort, 4001);
    for (const port of ['65536', '-1', '3000x', '', ' ']) await refused({ flags: { port } }, '--port', '65535');
  });

  it('port 0 takes any free one, and then HTTP is on only where it is asked for', async () => {
    assert.equal((await resolved({ flags: { port: '0' } })).httpPort, undefined);
    assert.equal((await resolved({ flags: { port: '0', 'http-port': '4000' } })).httpPort, 4000);
  });

  it('a port above 64535 needs an HTTP port of its own', async () => {
    await refused({ flags: { port: '64536' } }, '--port', '--http-port');
    assert.equal((await resolved({ flags: { port: '64536', 'http-port': '0' } })).httpPort, undefined);
    await refused({ flags: { port: '4000', 'http-port': '4000' } }, '--http-port', 'gRPC');
  });

  it('log settings are levels and module=level; the last one for a module holds', async () => {
    const { logLevels } = await resolved({ flags: { log: ['warn', 'raft=debug', 'raft=error', 'api=silent'] } });
    assert.deepEqual(logLevels, { default: 'warn', modules: { raft: 'error', api: 'silent' } });
    await refused({ flags: { log: ['loud'] } }, '--log', '"loud"', 'debug, info');
    await refused({ flags: { log: ['raff=debug'] } }, '"raff"', 'raft');
    await refused({ flags: { log: ['constructor=debug'] } }, '"constructor"');
    await refused({ flags: { log: ['=debug'] } }, '""');
  });

  it('a flag without a value is true or false elsewhere', async () => {
    assert.equal((await resolved({ env: { FLOTILLA_SERVER_INSECURE: '1' } })).insecure, true);
    assert.equal((await resolved({ file: 'insecure: false' })).insecure, false);
    await refused({ env: { FLOTILLA_SERVER_INSECURE: 'maybe' } }, 'FLOTILLA_SERVER_INSECURE', 'true');
  });

  it('retention has no bound unless it is given one', async () => {
    assert.deepEqual((await resolved({})).retention, {});
    const { retention } = await resolved({ flags: { 'max-events': '5', 'max-age': '7d' }, file: 'max-bytes: 1GiB' });
    assert.deepEqual(retention, { maxEvents: 5, maxBytes: 1024 ** 3, maxAgeMs: 7 * 86_400_000 });
    await refused({ flags: { 'max-events': '0' } }, '--max-events', 'from 1 to');
    await refused({ flags: { 'max-events': '1k' } }, '--max-events', 'whole number');
    await refused({ flags: { 'max-age': '7' } }, '--max-age', 'duration');
    await refused({ file: 'max-bytes: many' }, 'max-bytes', 'size');
  });
});

describe('configuration: addresses', () => {
  const peers = (...list: string[]) => ({ flags: { 'actor-id': '1', 'peer-addr': list } });

  for (const [text, why] of [
    ['', 'no port'],
    ['localhost', 'no port'],
    ['localhost:', 'no port; it must'],
    [':3000', 'host is missing'],
    ['localhost:0', '1 to 65535'],
    ['localhost:65536', '1 to 65535'],
    ['localhost:30x', '1 to 65535'],
    ['::1:3000', 'in brackets'],
    ['[::1]', 'no port'],
    ['[x]:3000', 'IPv6'],
    ['[127.0.0.1]:3000', 'IPv6'],
    ['127.0.0.256:3000', 'IPv4'],
    ['http://a:3000', 'brackets'],
    ['a:1,b:2', 'brackets'],
    ['a b:1', 'no host name'],
    ['-a:1', 'no host name'],
  ] as const) {
    it(`${JSON.stringify(text)} is refused as a peer`, async () => {
      await refused(peers(text), '--peer-addr', why);
    });
  }

  it('names, IPv4 and IPv6 in brackets are peers', async () => {
    const list = ['localhost:3001', '10.0.0.1:3000', '[::1]:3002', 'node-2.example.org:65535', 'my_node:1'];
    assert.deepEqual((await resolved(peers(...list))).peerAddresses, list);
  });

  it('a formatted address reads as itself', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6()),
        fc.integer({ min: 1, max: 65535 }),
        async (host, port) => {
          const text = formatAddress({ host, port });
          assert.deepEqual((await resolved(peers(text))).peerAddresses, [text]);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('there may be 64 of them', async () => {
    await refused(peers(...Array.from({ length: 65 }, (_, index) => `n${index}:1`)), '--peer-addr', '64');
  });

  it('peers need an actor id', async () => {
    await refused({ flags: { 'peer-addr': ['a:1'] } }, '--peer-addr', '--actor-id');
    assert.equal((await resolved({ env: { FLOTILLA_SERVER_PEER_ADDR: 'a:1' }, file: 'actor-id: 3' })).actor, 3);
  });

  it('loopback needs no --insecure; anything else does', async () => {
    for (const host of ['127.0.0.1', '127.9.9.9', 'localhost', '::1', '[::1]']) await resolved({ flags: { host } });
    for (const host of ['10.0.0.1', 'node1', '::2', '127.evil.example']) {
      await refused({ flags: { host } }, '--host', '--insecure');
      await resolved({ flags: { host, insecure: true } });
    }
  });

  it('a wildcard needs an address for others', async () => {
    for (const host of ['0.0.0.0', '::', '[::]', '0:0::0']) {
      await refused({ flags: { host, insecure: true } }, '--host', '--advertise');
      await refused({ flags: { host, insecure: true, advertise: '0.0.0.0:1' } }, '--advertise');
      const { advertise } = await resolved({ flags: { host, insecure: true, advertise: 'node1:3000' } });
      assert.deepEqual(advertise, { host: 'node1', port: 3000 });
    }
  });

  it('others are told host and port, where nothing else is said', async () => {
    assert.deepEqual((await resolved({ flags: { host: '[::1]', port: '3005' } })).advertise, {
      host: '::1',
      port: 3005,
    });
  });

  it('a peer elsewhere that is told a loopback address is warned of', async () => {
    const { warnings } = await resolved(peers('node2:3000'));
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /node2:3000.*127\.0\.0\.1:3000/);
    assert.deepEqual((await resolved(peers('127.0.0.1:3001', 'localhost:3002'))).warnings, []);
  });
});

describe('configuration: election', () => {
  it('an election time-out holds at least two heartbeats', async () => {
    await refused({ flags: { 'heartbeat-interval': '600ms' } }, '--election-timeout', '--heartbeat-interval', '600ms');
    await refused(
      { flags: { 'election-timeout': '150ms' }, env: { FLOTILLA_SERVER_HEARTBEAT_INTERVAL: '80ms' } },
      'FLOTILLA_SERVER_HEARTBEAT_INTERVAL',
    );
    assert.equal(
      (await resolved({ flags: { 'election-timeout': '100ms', 'heartbeat-interval': '50ms' } })).heartbeatIntervalMs,
      50,
    );
  });
});

describe('docs/operating.md', () => {
  it('lists every supported option with its flag, default and meaning', () => {
    const page = readFileSync(new URL('../../docs/operating.md', import.meta.url), 'utf8');
    const rows = page.split('\n').filter((line) => /^\| `(-.|--)/.test(line));
    const expected = OPTION_NAMES.map((name) => {
      const { short, argument = '', default: shown, summary } = optionOf(name);
      const flag = `${short === undefined ? '' : `-${short}, `}--${name} ${argument.replace('|', ' or ')}`.trimEnd();
      return `| \`${flag}\` | ${shown === undefined ? '' : `\`${shown}\``} | ${summary} |`;
    });
    assert.deepEqual(rows, expected);
  });
});
