import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as v from 'valibot';
import { plainEnvironment, ROOT } from './command-process.js';
import { freePorts } from './free-ports.js';
import { until } from './until.js';

const groupStatus = v.object({
  group: v.number(),
  role: v.string(),
  leader: v.optional(v.number()),
  term: v.number(),
  commitIndex: v.number(),
  isQuiesced: v.boolean(),
});

export type GroupStatus = v.InferOutput<typeof groupStatus>;

const answer = v.object({ id: v.number(), value: v.optional(v.unknown()), error: v.optional(v.string()) });

/** A process of the built server that hosts many groups: bench/group-node.mjs. */
export class GroupNode {
  readonly actor: number;
  private readonly argument: string;
  private child: ChildProcess | undefined;
  private lastId = 0;
  private readonly asked = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();

  constructor(actor: number, options: object) {
    this.actor = actor;
    this.argument = JSON.stringify({ actor, ...options });
  }

  get running(): boolean {
    return this.child !== undefined;
  }

  start(): void {
    const child = fork(join(ROOT, 'bench/group-node.mjs'), [this.argument], {
      env: plainEnvironment({ UV_THREADPOOL_SIZE: '8' }),
      execArgv: [],
    });
    child.on('message', (message) => {
      const { id, value, error } = v.parse(answer, message);
      const asked = this.asked.get(id);
      this.asked.delete(id);
      if (error === undefined) asked?.resolve(value);
      else asked?.reject(new Error(error));
    });
    this.child = child;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    if (child === undefined) return;
    this.child = undefined;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
    for (const { reject } of this.asked.values()) reject(new Error('the node is gone'));
    this.asked.clear();
  }

  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  async status(): Promise<GroupStatus[]> {
    return v.parse(v.array(groupStatus), await this.ask({ ask: 'status' }));
  }

  /** Counter of the event. Rejects with the error's code. */
  async append(group: number, data: string): Promise<number> {
    return v.parse(v.number(), await this.ask({ ask: 'append', group, data }));
  }

  /** An index that a consistent read of the group may be served at. */
  async confirmedIndex(group: number): Promise<number> {
    return v.parse(v.number(), await this.ask({ ask: 'confirm', group }));
  }

  /** Processor time that the process has used, with all its threads. */
  cpuMs(): number {
    const pid = this.child?.pid;
    assert.ok(pid !== undefined, `node ${this.actor} does not run`);
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [userTicks = Number.NaN, systemTicks = Number.NaN] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13)
      .map(Number);
    return (userTicks + systemTicks) * 10;
  }

  private ask(question: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.child === undefined) return reject(new Error('the node is gone'));
      const id = ++this.lastId;
      this.asked.set(id, { resolve, reject });
      this.child.send({ id, ...question });
    });
  }
}

/** Three such nodes in a scratch folder. */
export class GroupCluster {
  readonly nodes: readonly GroupNode[];
  readonly groups: number;
  private readonly folder: string;

  private constructor(nodes: readonly GroupNode[], groups: number, folder: string) {
    this.nodes = nodes;
    this.groups = groups;
    this.folder = folder;
  }

  static async start(groups: number): Promise<GroupCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'flotilla-groups-'));
    const ports = await freePorts(3);
    const nodes = ports.map((port, position) => {
      const peers = ports.filter((other) => other !== port).map((other) => `127.0.0.1:${other}`);
      return new GroupNode(position + 1, {
        dataDir: folder,
        logPath: join(folder, `node-${position + 1}.log`),
        port,
        peers,
        groups,
      });
    });
    for (const node of nodes) node.start();
    return new GroupCluster(nodes, groups, folder);
  }

  get running(): GroupNode[] {
    return this.nodes.filter(({ running }) => running);
  }

  node(actor: number): GroupNode {
    const node = this.nodes.find((each) => each.actor === actor);
    assert.ok(node !== undefined, `there is no node ${actor}`);
    return node;
  }

  /** What each running node says of each group. */
  async statuses(): Promise<Map<GroupNode, GroupStatus[]>> {
    return new Map(await Promise.all(this.running.map(async (node) => [node, await node.status()] as const)));
  }

  /** By group, its leader; waits until the running nodes agree on one for each, and that one does lead. */
  async leaders(timeoutMs = 60_000): Promise<Map<number, number>> {
    let missing = '';
    return await until(
      'every group has a leader',
      async () => {
        const leaders = leadersOf(await this.statuses());
        missing = `${leaders.size} of ${this.groups} groups have one`;
        return leaders.size === this.groups ? leaders : undefined;
      },
      { timeoutMs, state: () => `${missing}\n${this.logs()}` },
    );
  }

  /** Waits until these nodes agree on a leader among them for each of these groups. */
  async leadersAt(nodes: readonly GroupNode[], groups: readonly number[]): Promise<void> {
    await until(`groups ${groups} have a leader among nodes ${nodes.map(({ actor }) => actor)}`, async () => {
      const leaders = leadersOf(
        new Map(await Promise.all(nodes.map(async (node) => [node, await node.status()] as const))),
      );
      return groups.every((group) => leaders.has(group));
    });
  }

  /** Waits until every group rests on every running node. */
  async allQuiet(timeoutMs = 60_000): Promise<void> {
    let awake = '';
    await until(
      'every group rests',
      async () => {
        const statuses = [...(await this.statuses()).values()].flat();
        awake = JSON.stringify(statuses.filter(({ isQuiesced }) => !isQuiesced).slice(0, 10));
        return statuses.length === this.groups * this.running.length && statuses.every(({ isQuiesced }) => isQuiesced);
      },
      { timeoutMs, state: () => awake },
    );
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill('SIGKILL')));
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private logs(): string {
    return this.nodes
      .map(({ actor }) => readFileSync(join(this.folder, `node-${actor}.log`), 'utf8').slice(-2000))
      .join('\n\n');
  }
}

function leadersOf(statuses: ReadonlyMap<GroupNode, readonly GroupStatus[]>): Map<number, number> {
  const named = new Map<number, Set<number | undefined>>();
  const leads = new Set<string>();
  for (const [node, rows] of statuses) {
    for (const { group, leader, role } of rows) {
      named.set(group, (named.get(group) ?? new Set()).add(leader));
      if (role === 'leader') leads.add(`${group} ${node.actor}`);
    }
  }
  const leaders = new Map<number, number>();
  for (const [group, [leader, ...others]] of [...named].map(([group, set]) => [group, [...set]] as const)) {
    if (leader !== undefined && others.length === 0 && leads.has(`${group} ${leader}`)) leaders.set(group, leader);
  }
  return leaders;
}
