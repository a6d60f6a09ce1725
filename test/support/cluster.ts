import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type ClientOptions, FlotillaClient } from '../../src/client/index.js';
import { proto } from '../../src/wire/index.js';
import { ClusterNode, type DumpedEvent } from './cluster-node.js';
import { type CommandOptions, type CommandResult, flotilla, killCommands } from './command-process.js';
import { freePorts } from './free-ports.js';
import { Network } from './network.js';
import { until } from './until.js';

export interface ClusterOptions {
  /** How many; default 3. */
  readonly nodes?: number;
  /** Further arguments of every node. */
  readonly args?: readonly string[];
  /** How the node at `from` spells the address of the one at `to`; default 127.0.0.1:PORT. */
  readonly spell?: (port: number, from: number, to: number) => string;
  /** The nodes dial each other through proxies: {@link Cluster.network}. */
  readonly proxies?: boolean;
}

/** Nodes as real processes on loopback, with one data directory for all of them, in a temporary folder. */
export class Cluster {
  readonly nodes: readonly ClusterNode[];
  readonly dataDir: string;
  private readonly folder: string;
  private readonly clients: FlotillaClient[] = [];
  private readonly proxies: Network | undefined;

  private constructor(folder: string, nodes: readonly ClusterNode[], proxies: Network | undefined) {
    this.folder = folder;
    this.proxies = proxies;
    this.dataDir = join(folder, 'data');
    this.nodes = nodes;
  }

  /** Chooses ports and directories; starts nothing. */
  static async plan(options: ClusterOptions = {}): Promise<Cluster> {
    const { nodes: count = 3, args = [], spell = (port) => `127.0.0.1:${port}` } = options;
    const folder = mkdtempSync(join(tmpdir(), 'flotilla-cluster-'));
    const ports = await freePorts(count);
    const proxies =
      options.proxies === true
        ? await Network.between(ports.map((port, from) => ({ actor: from + 1, port })))
        : undefined;
    const nodes = ports.map((port, from) => {
      const peers = ports.flatMap((other, to) => (to === from ? [] : [spell(other, from, to)]));
      return new ClusterNode({
        actor: from + 1,
        port,
        dataDir: join(folder, 'data'),
        peers,
        args,
        logPath: join(folder, `node-${from + 1}.log`),
        dialling: proxies?.dialling(from + 1),
      });
    });
    return new Cluster(folder, nodes, proxies);
  }

  /** The node with this actor id: 1 is the first. */
  node(actor: number): ClusterNode {
    const node = this.nodes[actor - 1];
    assert.ok(node !== undefined, `there is no node ${actor}`);
    return node;
  }

  /** What lies between the nodes, of a cluster that was planned with proxies. */
  get network(): Network {
    assert.ok(this.proxies !== undefined, 'the cluster has no proxies');
    return this.proxies;
  }

  get running(): ClusterNode[] {
    return this.nodes.filter(({ running }) => running);
  }

  /** Starts those that do not run, and waits until all are ready. */
  async start(): Promise<void> {
    for (const node of this.nodes) if (!node.running) node.start();
    await this.ready();
  }

  /** Waits until every node that runs, or each of `nodes`, serves and knows a leader. */
  async ready(nodes: readonly ClusterNode[] = this.running): Promise<void> {
    await Promise.all(
      nodes.map((node) =>
        until(
          `node ${node.actor} is ready`,
          async () => {
            assert.ok(node.running, `node ${node.actor} ended: ${JSON.stringify(node.exit)}\n${node.lastLogLines()}`);
            return (await node.readiness())?.status === 200;
          },
          { state: () => this.logs() },
        ),
      ),
    );
  }

  /** The one that leads, agreed on by all that run: none of them has seen a later term. */
  async leader(): Promise<ClusterNode> {
    return await until('a leader is agreed on', async () => {
      const rows = await Promise.all(this.running.map(async (node) => ({ node, status: await node.status() })));
      const newest = Math.max(...rows.map(({ status }) => Number(status?.term ?? 0)));
      return rows.find(({ status }) => status?.role === proto.NodeRole.LEADER && Number(status.term) === newest)?.node;
    });
  }

  async followers(): Promise<ClusterNode[]> {
    const leader = await this.leader();
    return this.running.filter((node) => node !== leader);
  }

  /** Waits until all nodes that run have committed the same log, and returns what each of them gives out: the same. */
  async equalDumps(): Promise<DumpedEvent[]> {
    await until('all nodes have caught up', async () => {
      const rows = await Promise.all(this.running.map((node) => node.status()));
      const lasts = new Set(rows.flatMap((row) => [row?.commitIndex, row?.lastIndex]));
      return lasts.size === 1 && !lasts.has(undefined);
    });
    const [first = [], ...others] = await Promise.all(this.running.map((node) => node.dump()));
    for (const other of others) assert.deepEqual(other, first);
    return first;
  }

  /** A client that knows all nodes; closed with the cluster. */
  client(options: ClientOptions = {}): FlotillaClient {
    const client = new FlotillaClient({ hosts: this.nodes.map(({ address }) => address), ...options });
    this.clients.push(client);
    return client;
  }

  /** Runs a client command against one node. */
  async command(node: ClusterNode, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return await flotilla([...args, '-p', String(node.port)], options);
  }

  /** None of the nodes that run has let work for anybody stop its event loop. */
  async requireMovingLoops(): Promise<void> {
    for (const node of this.running) {
      const stallMs = await node.longestStallMs();
      assert.ok(
        stallMs === undefined || stallMs < STALL_MAX_MS,
        `the event loop of node ${node.actor} stood still for ${stallMs} ms`,
      );
    }
  }

  logs(): string {
    return this.nodes
      .filter(({ pid }) => pid !== 0)
      .map((node) => node.lastLogLines())
      .join('\n\n');
  }

  /** Ends everything, at once, and leaves nothing behind. */
  async close(): Promise<void> {
    await killCommands();
    await Promise.all(this.nodes.map((node) => node.kill('SIGKILL')));
    await Promise.all(this.clients.map((client) => client.close()));
    await this.proxies?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/**
 * Of work, not of waiting for a processor. What readers may take is a part of
 * 20 ms; a start, the compiler and the garbage collector of a small machine take more.
 */
const STALL_MAX_MS = 500;

type Body = (cluster: Cluster, context: TestContext) => Promise<void>;

/** A test with a cluster of its own, not yet started; where it fails, the nodes' logs are shown. */
export function withCluster(options: ClusterOptions, body: Body): (context: TestContext) => Promise<void> {
  return async (context) => {
    const cluster = await Cluster.plan(options);
    try {
      await body(cluster, context);
      await cluster.requireMovingLoops();
    } catch (error) {
      context.diagnostic(cluster.logs());
      throw error;
    } finally {
      await cluster.close();
    }
  };
}

/** The same with a cluster that is ready. */
export function withReadyCluster(options: ClusterOptions, body: Body): (context: TestContext) => Promise<void> {
  return withCluster(options, async (cluster, context) => {
    await cluster.start();
    await body(cluster, context);
  });
}
