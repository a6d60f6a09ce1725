#!/usr/bin/env node
/**
 * A three-node cluster on this machine, as three processes. `npm start` runs
 * it; `node cluster-examples/three-nodes/start.mjs --help` says what it takes.
 *
 * Each node has an IPC channel to this process and stops when it closes, so
 * that no node outlives its launcher, however that one ends. Each is also a
 * process group of its own: Ctrl-C reaches only the launcher, which stops all
 * three in good order.
 */
import { existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { onParentGone } from '../../scripts/parent.mjs';
import { NodeProcess } from './node-process.mjs';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const COMMAND = join(ROOT, JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).bin.flotilla);
const NODES = 3;
const HTTP_OFFSET = 1000;
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
/** npm hands on a Ctrl-C that the terminal has already delivered; that is still the first one. */
const SAME_SIGNAL_MS = 500;

const HELP = `Starts a three-node Flotilla cluster on this machine; Ctrl-C stops it.

  --data-dir DIR    where the nodes keep their data and logs (default: .flotilla in the checkout)
  --port-base PORT  the first of three neighbouring ports (default 3000); HTTP is ${HTTP_OFFSET} above each;
                    the data belongs to its ports: others need another --data-dir
  --help            this text
`;

/** Resolves when all three nodes have ended; the exit code says whether that was asked for. */
export async function main(args) {
  const options = parse(args);
  if (options === undefined) return;
  const cluster = new Cluster(options);
  try {
    await cluster.start();
  } catch (error) {
    if (cluster.stopping === undefined) {
      process.exitCode = 1;
      process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
      cluster.stop();
    }
  }
  await cluster.ended();
}

function parse(args) {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: { 'data-dir': { type: 'string' }, 'port-base': { type: 'string' }, help: { type: 'boolean' } },
    }));
  } catch (error) {
    return refuse(`${error.message}\n\n${HELP}`);
  }
  if (values.help === true) {
    say(HELP);
    return undefined;
  }
  const portBase = Number(values['port-base'] ?? 3000);
  const highest = 65_535 - HTTP_OFFSET - NODES + 1;
  if (!Number.isInteger(portBase) || portBase < 1 || portBase > highest) {
    return refuse(`--port-base ${values['port-base']}: give a port from 1 to ${highest}`);
  }
  if (!existsSync(join(ROOT, 'dist')))
    return refuse('Flotilla is not built yet: run `npm start`, or `npm run setup` first');
  return { portBase, dataDir: resolve(values['data-dir'] ?? join(ROOT, '.flotilla')) };
}

function refuse(message) {
  process.stderr.write(`error: ${message.trimEnd()}\n`);
  process.exitCode = 2;
  return undefined;
}

class Cluster {
  /** What was asked for, once it was. */
  stopping;
  #dataDir;
  #ports;
  #nodes = [];
  #ready = false;
  #killed = false;
  #stoppedAt = 0;

  constructor({ dataDir, portBase }) {
    this.#dataDir = dataDir;
    this.#ports = Array.from({ length: NODES }, (_, position) => portBase + position);
    this.#obeySignals();
  }

  async start() {
    for (const port of this.#ports.flatMap((each) => [each, each + HTTP_OFFSET])) await assertFree(port);
    mkdirSync(join(this.#dataDir, 'logs'), { recursive: true });
    say(
      `Starting three nodes on ports ${this.#ports.join(', ')}; data in ${this.#dataDir}, logs in ` +
        `${join(this.#dataDir, 'logs')}`,
    );
    for (const [position, port] of this.#ports.entries()) {
      if (this.stopping !== undefined) return;
      const args = [COMMAND, ...this.#serveArguments(position)];
      const node = new NodeProcess({
        actor: position + 1,
        port,
        httpPort: port + HTTP_OFFSET,
        args,
        logFolder: join(this.#dataDir, 'logs'),
      });
      this.#nodes.push(node);
      node.exited.then(() => this.#onExit(node, position));
    }
    await Promise.all(this.#nodes.map((node) => this.#awaitReady(node)));
    if (this.stopping !== undefined) return;
    const ended = this.#nodes.find((node) => node.exit !== undefined);
    if (ended !== undefined) throw new Error(`node ${ended.actor} ended, ${ended.exit}\n${ended.lastLogLines()}`);
    this.#ready = true;
    say(this.#howToUse());
  }

  /** Asks every node to stop; a second call ends them at once. */
  stop() {
    if (this.stopping !== undefined) return this.#kill('stopping at once');
    this.stopping = 'asked';
    this.#stoppedAt = Date.now();
    for (const node of this.#nodes) node.stop();
    setTimeout(
      () => this.#kill(`still not stopped after ${STOP_TIMEOUT_MS / 1000} s: ending them`),
      STOP_TIMEOUT_MS,
    ).unref();
  }

  async ended() {
    await Promise.all(this.#nodes.map((node) => node.exited));
    if (this.stopping !== undefined && this.#nodes.length > 0) say('All nodes have stopped.');
  }

  #kill(reason) {
    if (this.#killed || this.#nodes.every((node) => node.exit !== undefined)) return;
    this.#killed = true;
    say(reason);
    for (const node of this.#nodes) node.kill();
  }

  #serveArguments(position) {
    const port = this.#ports[position];
    const others = this.#ports.filter((each) => each !== port);
    return [
      ...[
        'serve',
        '-d',
        this.#dataDir,
        '-p',
        String(port),
        '--http-port',
        String(port + HTTP_OFFSET),
        '--actor-id',
        String(position + 1),
      ],
      ...others.flatMap((other) => ['--peer-addr', `127.0.0.1:${other}`]),
    ];
  }

  async #awaitReady(node) {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    let answer = 'it does not answer';
    while (this.stopping === undefined && node.exit === undefined) {
      answer = await node.readiness();
      if (answer === undefined) return say(`Node ${node.actor} is ready (process ${node.pid})`);
      if (Date.now() > deadline) throw new Error(`node ${node.actor} is not ready: ${answer}\n${node.lastLogLines()}`);
      await sleep(100);
    }
    if (node.exit !== undefined && this.stopping === undefined)
      throw new Error(`node ${node.actor} ended, ${node.exit}\n${node.lastLogLines()}`);
  }

  /** A node that ends while the cluster runs is part of the demonstration: the others go on. */
  #onExit(node, position) {
    if (!this.#ready || this.stopping !== undefined) return;
    const left = this.#nodes.filter((each) => each.exit === undefined);
    say(`\nNode ${node.actor} ended, ${node.exit}.`);
    if (node.failed) say(node.lastLogLines());
    if (left.length === 0) {
      process.exitCode = 1;
      return;
    }
    const command = this.#serveArguments(position).map((word) => (/^[\w./:-]+$/.test(word) ? word : `'${word}'`));
    say(`${left.length === 1 ? 'Writes need two of the three' : 'The other two go on'}. It comes back with:`);
    say(`  npx flotilla ${command.join(' ')}`);
  }

  #obeySignals() {
    const onEnd = (reason) => {
      if (this.stopping === undefined) say(`\nStopping all nodes (${reason}) …`);
      else if (Date.now() - this.#stoppedAt < SAME_SIGNAL_MS) return;
      this.stop();
    };
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, onEnd);
    // A reader that went away (`npm start | head`) is no reason to leave nodes behind, nor to crash.
    process.stdout.on('error', () => this.stopping ?? this.stop());
    // A launcher in the background may well outlive the shell that started it; one under npm must not outlive npm.
    if (process.env.npm_lifecycle_event !== undefined) onParentGone(() => onEnd('npm is gone'));
  }

  #howToUse() {
    const [first, second, third] = this.#ports;
    const flag = (port) => (port === 3000 ? '' : ` -p ${port}`);
    const lines = [
      [`npx flotilla produce${flag(first)} -n /hello -d "ahoy"`, 'append an event through node 1; prints its id'],
      [`npx flotilla consume${flag(second)}`, 'read all events, through node 2'],
      [`npx flotilla consume${flag(third)} -n "/hello" --tail`, 'follow a namespace, through node 3'],
      [`npx flotilla cluster status${flag(first)}`, 'who leads, and how far each node is'],
      [`curl http://127.0.0.1:${first + HTTP_OFFSET}/metrics`, 'what Prometheus sees of node 1'],
    ];
    const width = Math.max(...lines.map(([command]) => command.length));
    return `
The cluster is ready. From another terminal, in ${process.cwd() === ROOT ? 'this folder' : ROOT}:

${lines.map(([command, meaning]) => `  ${command.padEnd(width)}    # ${meaning}`).join('\n')}

Ctrl-C stops all three; the next start finds the data again.`;
  }
}

async function assertFree(port) {
  const server = createServer();
  await new Promise((free, taken) => {
    server.once('error', (error) => {
      const advice =
        'stop what uses it, or choose other ports with --port-base; beside a running cluster also another --data-dir';
      taken(
        new Error(
          error.code === 'EADDRINUSE'
            ? `port ${port} is taken: ${advice}`
            : `port ${port} can't be used (${error.message})`,
        ),
      );
    });
    server.listen({ port, host: '127.0.0.1', exclusive: true }, free);
  });
  await new Promise((closed) => server.close(closed));
}

function say(text) {
  process.stdout.write(`${text.trimEnd()}\n`);
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(import.meta.url))) {
  await main(process.argv.slice(2));
}
