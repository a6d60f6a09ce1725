/**
 * `npm run damage`: one node of three is stopped, a file of it is damaged, and it
 * is started again: for every kind of file that there is, and every kind of
 * damage. Each time no client may ever get a wrong event or miss an acknowledged
 * one, from any node, and the damaged node must be whole again by itself and able
 * to lead. `--only PATTERN` runs the cases whose name has it. Ends with 1 where a
 * case failed; the data and the logs of that one are kept.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setup } from './setup.mjs';

const COMMAND = fileURLToPath(new URL('../cli/flotilla.cjs', import.meta.url));
const PATIENCE_MS = 90_000;
/** Of one event: some segments are filled in a moment. */
const DATA = 'x'.repeat(8 * 1024);
const EVENTS_AT_FIRST = 400;
const EVENTS_BETWEEN = 20;

const { values } = parseArgs({ options: { only: { type: 'string', default: '' } } });
await setup();
const { FlotillaClient } = await import('../dist/src/client/index.js');

/** Kinds of files, by the folder of the node that was stopped. Of several the first is taken. */
const KINDS = {
  identity: ['', /^identity$/],
  'known-members': ['', /^known-members$/],
  'lock CURRENT': ['lock', /^CURRENT$/],
  'lock MANIFEST': ['lock', /^MANIFEST/],
  'hard-state': ['groups/1', /^hard-state$/],
  marker: ['groups/1', /^marker$/],
  'sealed header': ['groups/1/segments/SEALED', /^header$/],
  'sealed footer': ['groups/1/segments/SEALED', /^footer$/],
  'sealed CURRENT': ['groups/1/segments/SEALED/db', /^CURRENT$/],
  'sealed MANIFEST': ['groups/1/segments/SEALED/db', /^MANIFEST/],
  'sealed records': ['groups/1/segments/SEALED/db', /\.(ldb|log)$/],
  'open header': ['groups/1/segments/OPEN', /^header$/],
  'open CURRENT': ['groups/1/segments/OPEN/db', /^CURRENT$/],
  'open MANIFEST': ['groups/1/segments/OPEN/db', /^MANIFEST/],
  'open records': ['groups/1/segments/OPEN/db', /\.(ldb|log)$/],
};

const FILE_DAMAGES = {
  'flipped at the begin': (path) => flip(path, () => 2),
  'flipped in the middle': (path) => flip(path, (size) => size >> 1),
  'flipped at the end': (path) => flip(path, (size) => size - 3),
  cut: (path) => truncateSync(path, statSync(path).size >> 1),
  zeroed: (path) => writeFileSync(path, Buffer.alloc(statSync(path).size)),
  removed: (path) => rmSync(path),
  older: (path, olderPath) => (existsSync(olderPath) ? cpSync(olderPath, path) : rmSync(path)),
};

const FOLDERS = {
  'sealed db removed': (folder) => rmSync(join(folder, 'groups/1/segments', sealedOf(folder), 'db'), { recursive: true }),
  'sealed segment removed': (folder) => rmSync(join(folder, 'groups/1/segments', sealedOf(folder)), { recursive: true }),
  'open db removed': (folder) => rmSync(join(folder, 'groups/1/segments', openOf(folder), 'db'), { recursive: true }),
  'open segment removed': (folder) => rmSync(join(folder, 'groups/1/segments', openOf(folder)), { recursive: true }),
  'segments removed': (folder) => rmSync(join(folder, 'groups/1/segments'), { recursive: true }),
  'group removed': (folder) => rmSync(join(folder, 'groups/1'), { recursive: true }),
  'groups removed': (folder) => rmSync(join(folder, 'groups'), { recursive: true }),
  "the whole folder yesterday's": (folder, older) => {
    rmSync(folder, { recursive: true });
    cpSync(older, folder, { recursive: true });
  },
};

function flip(path, at) {
  const content = readFileSync(path);
  if (content.length > 0) content[Math.max(0, at(content.length))] ^= 1;
  writeFileSync(path, content);
}

const segmentsOf = (folder) => {
  const path = join(folder, 'groups/1/segments');
  return readdirSync(path)
    .filter((name) => /^\d{10}$/.test(name) && existsSync(join(path, name, 'header')))
    .sort();
};
const openOf = (folder) => segmentsOf(folder).at(-1);
const sealedOf = (folder) => segmentsOf(folder)[1] ?? segmentsOf(folder)[0];

function damageKind([place, pattern], damage, folder, older) {
  const under = place.replace('SEALED', sealedOf(folder)).replace('OPEN', openOf(folder));
  const name = readdirSync(join(folder, under)).find((file) => pattern.test(file));
  if (name === undefined) return false;
  damage(join(folder, under, name), join(older, under, name));
  return true;
}

const cases = [
  ...Object.entries(KINDS).flatMap(([kind, where]) =>
    Object.entries(FILE_DAMAGES).map(([what, damage]) => ({
      name: `${kind} ${what}`,
      apply: (folder, older) => damageKind(where, damage, folder, older),
    })),
  ),
  ...Object.entries(FOLDERS).map(([name, apply]) => ({ name, apply: (folder, older) => apply(folder, older) !== false })),
].filter(({ name }) => new RegExp(values.only).test(name));

const folder = mkdtempSync(join(tmpdir(), 'flotilla-damage-'));
const dataDir = join(folder, 'data');
const ports = await freePorts(3);
const nodes = ports.map((port, at) => ({ actor: at + 1, port, log: join(folder, `node-${at + 1}.log`), child: undefined }));
const acknowledged = new Map();
const sound = { failed: [], passed: 0 };

const address = ({ port }) => `127.0.0.1:${port}`;
const client = new FlotillaClient({ hosts: nodes.map(address) });

try {
  for (const node of nodes) start(node);
  await until('the cluster is ready', () => allReady());
  await produce(EVENTS_AT_FIRST);
  for (const [number, one] of cases.entries()) await run(one, nodes[number % 3], number);
} finally {
  await client.close();
  await Promise.all(nodes.map((node) => kill(node, 'SIGKILL')));
}
process.stdout.write(
  `${sound.passed} cases of damage: the node was whole again each time; ${sound.failed.length} failed; ${acknowledged.size} events\n`,
);
if (sound.failed.length === 0) rmSync(folder, { recursive: true, force: true });
else process.stdout.write(`${sound.failed.join('\n')}\nthe data and the logs of the last are in ${folder}\n`);
process.exit(sound.failed.length === 0 ? 0 : 1);

async function run({ name, apply }, node, number) {
  const needsOlder = /older|yesterday/.test(name);
  const beginMs = performance.now();
  const own = join(dataDir, `node-${node.actor}`);
  const older = join(folder, 'older');
  try {
    if (needsOlder) {
      // What is copied now is older by a start and some events when it is put back.
      await kill(node, 'SIGTERM');
      rmSync(older, { recursive: true, force: true });
      cpSync(own, older, { recursive: true });
      start(node);
      await until('the node is ready before it is damaged', () => allReady());
      await produce(EVENTS_BETWEEN);
      await caughtUp();
    }
    await kill(node, number % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
    if (!apply(own, older)) return;
    await produce(EVENTS_BETWEEN);
    const logBegin = readFileSync(node.log).length;
    start(node);
    // Until the damage is found the node may be ready: what it gives out meanwhile is checked all the same.
    await until('it votes again', async () => (await allReady()) && (await votes(node)));
    await caughtUp();
    await dumpsAreRight();
    await client.transferLeadership(node.actor).catch(() => undefined);
    await until('it can lead', async () => {
      if ((await status(node))?.role === 'leader') return true;
      await client.transferLeadership(node.actor).catch(() => undefined);
      return false;
    });
    await produce(EVENTS_BETWEEN);
    await caughtUp();
    await dumpsAreRight();
    sound.passed++;
    const log = readFileSync(node.log, 'utf8').slice(logBegin);
    const way = log.includes('asks the others') ? 'began anew' : log.includes('was rebuilt') ? 'rebuilt a segment' : 'went on';
    process.stdout.write(`ok    ${name}: node ${node.actor} ${way}, ${Math.round(performance.now() - beginMs)} ms\n`);
  } catch (error) {
    sound.failed.push(`${name}: ${error.stack ?? error}`);
    process.stdout.write(`FAIL  ${name}: node ${node.actor}: ${error.message}\n`);
    throw error;
  }
}

function start(node) {
  const log = openSync(node.log, 'a');
  const peers = nodes.filter((other) => other !== node).flatMap((other) => ['--peer-addr', address(other)]);
  const timing = ['--election-timeout', '500ms', '--heartbeat-interval', '50ms', '--segment-bytes', '1MiB', '--max-cache-memory', '1MiB'];
  const args = [COMMAND, '-d', dataDir, '-p', String(node.port), '--actor-id', String(node.actor), ...peers, ...timing];
  node.child = spawn(process.execPath, args, { stdio: ['ignore', log, log, 'ipc'] });
  node.ended = new Promise((resolve) => node.child.once('exit', resolve));
  node.exited = false;
  void node.ended.then(() => {
    node.exited = true;
  });
}

async function kill(node, signal) {
  if (node.child === undefined) return;
  node.child.kill(signal);
  await node.ended;
  node.child = undefined;
}

async function produce(count) {
  await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const data = `${acknowledged.size + at}:${DATA}`;
      const receipt = await client.produce({ namespace: '/damage', data });
      acknowledged.set(receipt.firstId, data);
    }),
  );
}

async function allReady() {
  const answers = await Promise.all(
    nodes.map(async ({ port, exited, actor }) => {
      if (exited) throw new Error(`node ${actor} has ended`);
      const response = await fetch(`http://127.0.0.1:${port + 1000}/readyz`, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
      return response?.status === 200;
    }),
  );
  return answers.every(Boolean);
}

async function status(node) {
  const one = new FlotillaClient({ hosts: [address(node)] });
  try {
    return (await one.status()).find(({ actorId }) => actorId === node.actor);
  } catch {
    return undefined;
  } finally {
    await one.close();
  }
}

async function votes(node) {
  const row = await status(node);
  return row !== undefined && (row.role === 'leader' || row.role === 'follower');
}

async function caughtUp() {
  await until('all nodes hold the same', async () => {
    const rows = await Promise.all(nodes.map(status));
    return new Set(rows.flatMap((row) => [row?.commitIndex, row?.lastIndex])).size === 1 && rows[0] !== undefined;
  });
}

/** Every node gives out every acknowledged event, each once, in order, and nothing else. */
async function dumpsAreRight() {
  const expected = [...acknowledged.keys()].sort();
  for (const node of nodes) {
    const one = new FlotillaClient({ hosts: [address(node)], timeoutMs: PATIENCE_MS });
    const ids = [];
    try {
      for await (const event of one.read({ consistency: 'local' })) {
        const id = String(event.id);
        ids.push(id);
        if (event.text() !== acknowledged.get(id))
          throw new Error(`node ${node.actor} gives out another event ${id} than was acknowledged`);
      }
    } finally {
      await one.close();
    }
    if (ids.join() !== expected.join())
      throw new Error(`node ${node.actor} gives out ${ids.length} events of ${expected.length}, or in another order`);
  }
}

async function until(what, condition) {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Such that the port of HTTP, 1000 above, is free, too. */
async function freePorts(count) {
  const found = [];
  while (found.length < count) {
    const server = createServer();
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address();
    await new Promise((resolve) => server.close(resolve));
    if (port < 60_000 && !found.includes(port)) found.push(port);
  }
  return found;
}
