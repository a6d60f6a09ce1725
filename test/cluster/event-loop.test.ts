import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RpcClient } from '../../src/rpc/index.js';
import { proto } from '../../src/wire/index.js';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import { append, type ClusterNode, newEvent, readThrough } from '../support/cluster-node.js';
import { readRequest } from '../support/read-request.js';
import { until } from '../support/until.js';

const SMALL_EVENTS = 40_000;
const BATCH_EVENTS = 4000;
/** The worst glob for names of a thousand `a`s. */
const HOSTILE_GLOB = `/*${'a'.repeat(500)}b`;
const READERS = 12;
const CALL_TIMEOUT_MS = 120_000;

/** Small events in one namespace each of ten, a batch of a name per event, and one of large metadata. */
async function fill(node: ClusterNode): Promise<void> {
  const client = node.connect();
  try {
    for (let sent = 0; sent < SMALL_EVENTS; sent += BATCH_EVENTS) {
      await append(
        client,
        Array.from({ length: BATCH_EVENTS }, (_, at) =>
          newEvent({ namespace: `/small/${at % 10}`, data: Buffer.from('hello world') }),
        ),
      );
    }
    const letters = (at: number): string =>
      String(at)
        .padStart(6, '0')
        .replace(/\d/g, (digit) => 'cdefghijkl'[Number(digit)] ?? '');
    await append(
      client,
      Array.from({ length: 3500 }, (_, at) => newEvent({ namespace: `/${'a'.repeat(990)}${letters(at)}` })),
    );
    const metadata = new Map(Array.from({ length: 300 }, (_, at) => [`key${at}`, 'a value']));
    await append(
      client,
      Array.from({ length: 500 }, () => newEvent({ namespace: '/described', metadata })),
    );
  } finally {
    client.close();
  }
}

async function read(node: ClusterNode, request: Partial<proto.ReadRequest>): Promise<void> {
  const client = node.connect();
  try {
    for await (const message of client.serverStream('read', readRequest(request), { timeoutMs: CALL_TIMEOUT_MS })) {
      if (message.content?.$case === 'caughtUp') return;
    }
  } finally {
    client.close();
  }
}

async function list(node: ClusterNode, glob: string): Promise<void> {
  const client = new RpcClient(proto.NamespaceServiceDefinition, node.address);
  try {
    let rows = 0;
    const listing = client.serverStream(
      'listNamespaces',
      { stream: '', glob, after: '', limit: 0 },
      { timeoutMs: CALL_TIMEOUT_MS },
    );
    for await (const { namespaces } of listing) rows += namespaces.length;
    assert.ok(rows >= (glob === '' ? 3511 : 0), `${rows} namespaces`);
  } finally {
    client.close();
  }
}

async function backUp(node: ClusterNode): Promise<void> {
  const client = new RpcClient(proto.BackupServiceDefinition, node.address);
  try {
    let records = 0;
    for await (const { content } of client.serverStream(
      'readLog',
      { stream: '', after: undefined, incarnation: '' },
      { timeoutMs: CALL_TIMEOUT_MS },
    ))
      if (content?.$case === 'records') records += content.value.records.length;
    assert.ok(records > 12);
  } finally {
    client.close();
  }
}

async function unaryCalls(node: ClusterNode): Promise<void> {
  const client = node.connect();
  const streams = new RpcClient(proto.StreamServiceDefinition, node.address);
  try {
    for (const counter of [1, SMALL_EVENTS + 7, SMALL_EVENTS + 3500 + 7])
      await client.unary(
        'get',
        { stream: '', id: `${counter}.${node.actor}`, incarnation: '' },
        { timeoutMs: CALL_TIMEOUT_MS },
      );
    await streams.unary('getStream', { stream: '' }, { timeoutMs: CALL_TIMEOUT_MS });
    await node.clusterStatus();
    await node.http('/metrics');
  } finally {
    client.close();
    streams.close();
  }
}

const times = (count: number, action: () => Promise<void>): Promise<unknown> =>
  Promise.all(Array.from({ length: count }, action));

/** Every call that reads, by many at once. */
const CALLS: readonly (readonly [name: string, (node: ClusterNode) => Promise<unknown>])[] = [
  ['plain events', (node) => times(READERS, () => read(node, {}))],
  ['plain events backwards', (node) => times(READERS, () => read(node, { backwards: true }))],
  ['packed batches', (node) => times(READERS, () => read(node, { packed: true }))],
  ['the last of what matches nothing', (node) => times(READERS, () => read(node, { glob: '/none*/x', last: 5 }))],
  ['a hostile glob', (node) => times(3, () => read(node, { glob: HOSTILE_GLOB }))],
  ['a hostile glob backwards', (node) => times(2, () => read(node, { glob: HOSTILE_GLOB, backwards: true }))],
  ['tails', (node) => times(READERS, () => read(node, { glob: '/small/1', tail: true, sinceMs: 1 }))],
  ['lists of namespaces', (node) => times(READERS, () => list(node, ''))],
  ['a list by a hostile glob', (node) => list(node, HOSTILE_GLOB)],
  ['backups', (node) => times(3, () => backUp(node))],
  ['single answers', (node) => times(READERS, () => unaryCalls(node))],
];

async function leadership(cluster: Cluster): Promise<{ actor: number; term: number | undefined }> {
  const leader = await cluster.leader();
  return { actor: leader.actor, term: (await leader.status())?.term };
}

test(
  'no call holds the event loop of a node, and no number of readers costs a leader its leadership',
  withReadyCluster({}, async (cluster, context) => {
    const before = await leadership(cluster);
    const node = cluster.node(before.actor);
    await fill(node);
    context.diagnostic(`start, and writing: ${await node.longestStallMs()} ms at most`);
    for (const [name, call] of CALLS) {
      await call(node);
      await cluster.requireMovingLoops();
      context.diagnostic(`${name}: ${await node.longestStallMs()} ms at most so far`);
    }
    assert.deepEqual(await leadership(cluster), before);
    const client = node.connect();
    try {
      assert.equal((await readThrough(client, { glob: '/described' })).length, 500);
    } finally {
      client.close();
    }
    await until('its reads are over', async () =>
      /^flotilla_read_streams 0$/m.test((await node.http('/metrics'))?.text ?? ''),
    );
  }),
);
