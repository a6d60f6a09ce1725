import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import {
  actorId,
  counter,
  FlotillaError,
  groupId,
  logIndex,
  type Member,
  term,
  type Voucher,
} from '../../src/base/index.js';
import type { LinkState, Logger } from '../../src/group/index.js';
import { type BootMemory, PeerLinks } from '../../src/peer/index.js';
import type { Message } from '../../src/raft/index.js';
import { RpcServer } from '../../src/rpc/index.js';
import type { PeerEvents } from '../../src/stream/index.js';
import {
  EMPTY_LOG_TAIL,
  type LogRecord,
  NodeKey,
  type PackedBody,
  proto,
  SPOKEN_VERSIONS,
  sealRecord,
  tailAfter,
  type VersionRange,
} from '../../src/wire/index.js';

export const GROUP = groupId(1);
export const CLUSTER = 'c'.repeat(32);

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** A logger that remembers its lines of one level. */
export function recordingLogger(level: keyof Logger): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const logger = { ...silentLogger, [level]: (_fields: unknown, message: string) => lines.push(message) };
  return { logger, lines };
}

/** Polls until `condition` holds; fails, saying `what`, after `timeoutMs`. */
export async function until(condition: () => boolean, what: string, timeoutMs = 5000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    assert.ok(performance.now() < deadline, `waited ${timeoutMs} ms in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export interface TestNode {
  readonly member: Member;
  readonly links: PeerLinks;
  readonly received: { readonly from: number; readonly message: Message; readonly records: readonly LogRecord[] }[];
  readonly linkStates: { readonly peer: number; readonly state: LinkState; readonly atMs: number }[];
  readonly internalErrors: unknown[];
  readonly fatal: FlotillaError[];
  /** Like a SIGKILL, as far as a process can do that to itself. */
  kill(): Promise<void>;
}

export interface TestNodeOptions {
  readonly members: readonly Member[];
  readonly self: Member;
  readonly clusterId?: string;
  readonly former?: readonly string[];
  readonly bootCounter?: number;
  readonly boots?: readonly string[];
  readonly memory?: BootMemory;
  /** Default: that with which its instance was made. */
  readonly key?: NodeKey;
  readonly vouchers?: readonly Voucher[];
  readonly checkBody?: (body: PackedBody) => void;
  readonly onFetch?: PeerEvents['onFetch'];
  readonly versions?: VersionRange;
  readonly logger?: Logger;
  readonly onForward?: PeerEvents['onForward'];
  readonly onMessage?: PeerEvents['onMessage'];
  readonly seatOf?: PeerEvents['seatOf'];
  readonly onHeard?: PeerEvents['onHeard'];
  readonly onClock?: PeerEvents['onClock'];
  /** Called when a peer opens a Deliver stream, whether it is let in or not. */
  readonly onCall?: () => void;
  readonly takeIn?: Parameters<PeerLinks['server']['join']>[2];
}

const NO_INTRODUCTION = {
  clusterId: '',
  clusterMembers: [],
  peerAddresses: [],
  known: [],
  promised: [],
  protocolVersion: 1,
  highestVersion: 1,
  withoutAddresses: [],
};

const keys = new Map<string, NodeKey>();

/** The instance of a new data directory; its key is found by {@link keyOf}. */
export function newInstance(): string {
  const key = NodeKey.generate();
  keys.set(key.instance, key);
  return key.instance;
}

export function keyOf({ instance }: Pick<Member, 'instance'>): NodeKey {
  const key = keys.get(instance);
  assert.ok(key !== undefined, `the key of ${instance} is known`);
  return key;
}

/** In memory. */
export class RememberedBoots implements BootMemory {
  private readonly boots = new Map<string, ReturnType<BootMemory['lastBoot']>>();

  lastBoot(instance: string): ReturnType<BootMemory['lastBoot']> {
    return this.boots.get(instance);
  }

  async saw(...[instance, boot]: Parameters<BootMemory['saw']>): Promise<void> {
    this.boots.set(instance, boot);
  }
}

export async function startNode(context: TestContext, options: TestNodeOptions): Promise<TestNode> {
  const received: { from: number; message: Message; records: readonly LogRecord[] }[] = [];
  const linkStates: { peer: number; state: LinkState; atMs: number }[] = [];
  const internalErrors: unknown[] = [];
  const fatal: FlotillaError[] = [];
  const links = new PeerLinks({
    clusterId: options.clusterId ?? CLUSTER,
    self: options.self,
    bootCounter: options.bootCounter ?? 1,
    boots: options.boots ?? ['0123456789abcdef'],
    memory: options.memory ?? new RememberedBoots(),
    key: options.key ?? keyOf(options.self),
    checkBody: options.checkBody ?? (() => undefined),
    members: options.members,
    former: options.former ?? [],
    membership: {
      vouchers: () => options.vouchers ?? [],
      versions: () => options.versions ?? SPOKEN_VERSIONS,
    },
    events: {
      onMessage:
        options.onMessage ?? ((from, _group, message, records) => void received.push({ from, message, records })),
      onForward:
        options.onForward ??
        (async () => ({ firstCounter: counter(1), actor: actorId(1), index: logIndex(1), term: term(1) })),
      onFetch: options.onFetch ?? (async () => []),
      onClock: options.onClock ?? (() => undefined),
      seatOf: options.seatOf ?? (() => undefined),
      onHeard: options.onHeard ?? (() => undefined),
      onLink: (peer, state) => void linkStates.push({ peer, state, atMs: performance.now() }),
    },
    onCaller: () => undefined,
    onFatal: (error) => void fatal.push(error),
    logger: options.logger ?? silentLogger,
  });
  const server = new RpcServer({ onInternalError: (error) => internalErrors.push(error) });
  server.add(proto.PeerServiceDefinition, {
    introduce: async () => ({
      ...NO_INTRODUCTION,
      self: { actorId: options.self.actor, instanceId: options.self.instance, address: options.self.address },
    }),
    join: (stream, call) =>
      links.server.join(
        stream,
        call,
        options.takeIn ?? (() => Promise.reject(new FlotillaError('NOT_READY', 'nobody joins in this test'))),
      ),
    deliver: (stream, call) => {
      options.onCall?.();
      return links.server.deliver(stream, call);
    },
    forward: (stream, call) => links.server.forward(stream, call),
    fetchRecords: (stream, call) => links.server.fetchRecords(stream, call),
  });
  await server.listen('127.0.0.1', portOf(options.self));
  let killed = false;
  const kill = async (): Promise<void> => {
    if (killed) return;
    killed = true;
    await links.close();
    await server.close(0);
  };
  context.after(kill);
  links.start();
  return { member: options.self, links, received, linkStates, internalErrors, fatal, kill };
}

/** Both connections of a node to a peer stand: a heartbeat and an empty append get through. */
export async function linked(node: TestNode, peer: Member): Promise<void> {
  const isOpen = (): boolean => node.links.states().get(peer.actor) === 'open';
  await until(
    () => isOpen() && node.links.send(peer.actor, GROUP, makeAppend(0).message, []),
    `actor ${node.member.actor} is linked to ${peer.actor}`,
  );
}

/** Members on ports that were free a moment ago. */
export async function makeMembers(count: number): Promise<Member[]> {
  const ports = await freePorts(count);
  return ports.map((port, index) => ({
    actor: actorId(index + 1),
    instance: newInstance(),
    address: `127.0.0.1:${port}`,
  }));
}

export async function freePorts(count: number): Promise<number[]> {
  const { createServer } = await import('node:net');
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    ports.push(address.port);
  }
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  return ports;
}

export function portOf(member: Member): number {
  return Number(member.address.split(':')[1]);
}

export const heartbeat = (round: number): Message => ({
  type: 'heartbeat',
  term: term(1),
  commitIndex: logIndex(0),
  round,
  quiesce: false,
});

/** Consecutive no-op and events records from index 1 on, and the append that carries them. */
export function makeAppend(
  count: number,
  payloadBytes = 100,
): { readonly message: Message; readonly records: LogRecord[] } {
  const records: LogRecord[] = [];
  let tail = EMPTY_LOG_TAIL;
  for (let n = 0; n < count; n++) {
    const record = sealRecord(tail, { kind: 'events', term: term(1), eventCount: 1, payloadBytes }, (payload) =>
      payload.fill(n),
    );
    records.push(record);
    tail = tailAfter(record);
  }
  const entries = records.map(({ index, bytes }) => ({
    index,
    term: term(1),
    bytes: bytes.byteLength,
    holdsEvents: true as const,
  }));
  return {
    message: {
      type: 'append',
      term: term(1),
      previousIndex: logIndex(0),
      previousTerm: term(0),
      commitIndex: logIndex(0),
      entries,
    },
    records,
  };
}

/** Two nodes that have linked to each other; what the second has received so far is forgotten. */
export async function pair(context: TestContext, second: Partial<TestNodeOptions> = {}) {
  const members = await makeMembers(2);
  const [one, two] = members;
  assert.ok(one !== undefined && two !== undefined);
  const a = await startNode(context, { members, self: one });
  const b = await startNode(context, { members, self: two, ...second });
  await linked(a, two);
  await linked(b, one);
  b.received.length = 0;
  return { members, one, two, a, b };
}
