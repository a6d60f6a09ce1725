import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { FlotillaError } from '../../src/base/index.js';
import { RpcClient } from '../../src/rpc/index.js';
import { proto } from '../../src/wire/index.js';
import { COMMAND, type Exit, plainEnvironment } from './command-process.js';
import type { Dialling } from './network.js';
import { readRequest } from './read-request.js';

const CALL_TIMEOUT_MS = 30_000;
const ANSWER_TIMEOUT_MS = 5_000;
const SHOWN_LOG_LINES = 25;

export interface ClusterNodeOptions {
  readonly actor: number;
  readonly port: number;
  readonly dataDir: string;
  readonly peers: readonly string[];
  /** Further arguments. */
  readonly args: readonly string[];
  readonly logPath: string;
  /** How it dials the others, where that is not directly. */
  readonly dialling?: Dialling | undefined;
}

/** An event as a node gives it out, in a form that compares. */
export interface DumpedEvent {
  readonly id: string;
  readonly parentId: string;
  readonly namespace: string;
  readonly timestampMs: number;
  readonly data: string;
}

export interface Health {
  readonly status: number;
  readonly reasons: readonly string[];
}

export type EventClient = RpcClient<typeof proto.EventServiceDefinition>;

/** One node as a process of its own. It does not outlive this one: its IPC channel closes. */
export class ClusterNode {
  readonly actor: number;
  /** What the next start is told: a test may change these. */
  port: number;
  peers: readonly string[];
  /** Arguments of node before the options of the server. */
  program: readonly string[] = [COMMAND];
  environment: Readonly<Record<string, string>> = {};
  /** How the last process ended; undefined while one runs. */
  exit: Exit | undefined = { code: null, signal: null };
  readonly logPath: string;
  private readonly options: ClusterNodeOptions;
  private child: ChildProcess | undefined;
  private ended: Promise<Exit> = Promise.resolve({ code: null, signal: null });

  constructor(options: ClusterNodeOptions) {
    this.options = options;
    this.actor = options.actor;
    this.port = options.port;
    this.peers = options.peers;
    this.logPath = options.logPath;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  get running(): boolean {
    return this.exit === undefined;
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** The command line, as the readme writes it. */
  get args(): string[] {
    const { dataDir, actor, args } = this.options;
    return [
      '-d',
      dataDir,
      '-p',
      String(this.port),
      '--actor-id',
      String(actor),
      ...this.peers.flatMap((peer) => ['--peer-addr', peer]),
      ...args,
    ];
  }

  start(): void {
    assert.ok(!this.running, `node ${this.actor} runs already`);
    const log = openSync(this.logPath, 'a');
    const { nodeArguments = [], environment = {} } = this.options.dialling ?? {};
    const child = spawn(process.execPath, [...nodeArguments, ...this.program, ...this.args], {
      env: plainEnvironment({ ...environment, ...this.environment }),
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    this.child = child;
    this.exit = undefined;
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.exit = { code, signal };
        resolve(this.exit);
      });
    });
  }

  /** Stops the process where it is: it keeps its connections, and says nothing. */
  pause(): void {
    this.child?.kill('SIGSTOP');
  }

  resume(): void {
    this.child?.kill('SIGCONT');
  }

  /** Sends a signal and waits until the process is gone. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    this.child?.kill(signal);
    return await this.ended;
  }

  /** Waits until the process has ended by itself. */
  async end(): Promise<Exit> {
    return await this.ended;
  }

  /** What an HTTP path answers; undefined where nobody does. */
  async http(path: string): Promise<{ readonly status: number; readonly text: string } | undefined> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.port + 1000}${path}`, {
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
      return { status: response.status, text: await response.text() };
    } catch {
      return undefined;
    }
  }

  /** How long its event loop stood still at most, for work; undefined where nobody answers. */
  async longestStallMs(): Promise<number | undefined> {
    const answer = await this.http('/metrics');
    const found = /^flotilla_event_loop_stall_max_seconds (\S+)$/m.exec(answer?.text ?? '')?.[1];
    return found === undefined ? undefined : Math.round(Number(found) * 1000);
  }

  async readiness(): Promise<Health | undefined> {
    const answer = await this.http('/readyz');
    if (answer === undefined) return undefined;
    const body: unknown = JSON.parse(answer.text);
    assert.ok(
      typeof body === 'object' && body !== null && 'reasons' in body && Array.isArray(body.reasons),
      answer.text,
    );
    return { status: answer.status, reasons: body.reasons.map(String) };
  }

  /** The node's own row; undefined where it does not answer. */
  async status(): Promise<proto.NodeStatus | undefined> {
    try {
      return (await this.getStatus(true)).nodes[0];
    } catch (error) {
      assert.ok(error instanceof FlotillaError);
      return undefined;
    }
  }

  /** The whole cluster, as this node sees it. */
  async clusterStatus(): Promise<proto.GetStatusResponse> {
    return await this.getStatus(false);
  }

  private async getStatus(localOnly: boolean): Promise<proto.GetStatusResponse> {
    const client = new RpcClient(proto.ClusterServiceDefinition, this.address);
    try {
      return await client.unary('getStatus', { localOnly }, { timeoutMs: ANSWER_TIMEOUT_MS });
    } finally {
      client.close();
    }
  }

  /** A connection of its own; whoever makes it closes it. */
  connect(): EventClient {
    return new RpcClient(proto.EventServiceDefinition, this.address);
  }

  /** All that this very node holds to be committed; or, confirmed, all that is. */
  async dump(consistency: proto.Consistency = proto.Consistency.LOCAL): Promise<DumpedEvent[]> {
    const client = this.connect();
    try {
      return await readThrough(client, { consistency });
    } finally {
      client.close();
    }
  }

  /** The end of its log, for whoever looks into a failure. */
  lastLogLines(): string {
    const lines = readFileSync(this.logPath, 'utf8').trimEnd().split('\n');
    const state = this.running ? 'running' : `ended: ${JSON.stringify(this.exit)}`;
    return `node ${this.actor}, ${state}\n${lines.slice(-SHOWN_LOG_LINES).join('\n')}`;
  }
}

/** One read to its end. */
export async function readThrough(
  client: EventClient,
  request: Partial<proto.ReadRequest> = {},
): Promise<DumpedEvent[]> {
  const events: DumpedEvent[] = [];
  for await (const { content } of client.serverStream('read', readRequest(request), { timeoutMs: CALL_TIMEOUT_MS })) {
    if (content?.$case !== 'events') continue;
    for (const { id, parentId, namespace, timestampMs, data } of content.value.events) {
      events.push({
        id,
        parentId,
        namespace,
        timestampMs: Number(timestampMs),
        data: Buffer.from(data).toString('utf8'),
      });
    }
  }
  return events;
}

export function newEvent(event: Partial<proto.NewEvent> & { readonly namespace: string }): proto.NewEvent {
  return { parentId: '', data: new Uint8Array(0), type: '', contentType: '', metadata: new Map(), ...event };
}

/** Appends through one connection, and returns the receipt. */
export async function append(
  client: EventClient,
  events: readonly proto.NewEvent[],
  timeoutMs = CALL_TIMEOUT_MS,
): Promise<proto.Receipt> {
  const { receipt } = await client.unary(
    'append',
    { stream: '', events: [...events], packed: undefined, producer: undefined },
    { timeoutMs },
  );
  assert.ok(receipt !== undefined);
  return receipt;
}
