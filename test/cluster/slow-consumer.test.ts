import assert from 'node:assert/strict';
import { type ClientHttp2Session, connect } from 'node:http2';
import { test } from 'node:test';
import { proto } from '../../src/wire/index.js';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import { append, type ClusterNode, type EventClient, newEvent, readThrough } from '../support/cluster-node.js';
import { readRequest } from '../support/read-request.js';
import { until } from '../support/until.js';

const KiB = 1024;
const MiB = 1024 * KiB;
const BATCHES = 160;
const EVENTS_PER_BATCH = 2;
const EVENT_BYTES = 128 * KiB;
const EVENTS = BATCHES * EVENTS_PER_BATCH;
const STALLED_READERS = 32;
/** A node that queued what its readers do not take would hold all events for each of them: 1.25 GiB. */
const GROWTH_MAX_BYTES = 300 * MiB;

test(
  'consumers that stop reading cost a node little memory, and nobody else any time',
  withReadyCluster({ args: ['--max-cache-memory', '8MiB'] }, async (cluster, context) => {
    const node = cluster.node(2);
    const client = node.connect();
    const stalled: ClientHttp2Session[] = [];
    try {
      const data = Buffer.alloc(EVENT_BYTES, 'x');
      const batch = Array.from({ length: EVENTS_PER_BATCH }, () => newEvent({ namespace: '/large', data }));
      for (let sent = 0; sent < BATCHES; sent++) await append(client, batch);
      // Whatever a reader costs at all is part of what is compared with.
      assert.equal((await readThrough(client)).length, EVENTS);
      const before = await residentBytes(node);
      const sentBefore = await metric(node, 'flotilla_events_out_total');
      for (let reader = 0; reader < STALLED_READERS; reader++) {
        // Some read what there is, some tail; some as stored, some as plain events.
        stalled.push(readNothing(node, { tail: reader % 2 === 0, packed: reader % 4 < 2 }));
      }
      await until(
        'the node serves all of them',
        async () => (await metric(node, 'flotilla_read_streams')) === STALLED_READERS,
      );
      await othersAreServed(cluster, client, data);
      const sent = (await metric(node, 'flotilla_events_out_total')) - sentBefore;
      const growth = (await residentBytes(node)) - before;
      const inWords =
        `${Math.round(before / MiB)} MiB before, ${Math.round(growth / MiB)} MiB more, ${sent} ` +
        'events on their way';
      context.diagnostic(`${STALLED_READERS} stalled readers: ${inWords}`);
      assert.ok(growth < GROWTH_MAX_BYTES, inWords);
      assert.ok(sent < (STALLED_READERS * EVENTS) / 4, inWords);
    } finally {
      for (const session of stalled) session.destroy();
      client.close();
    }
    await until('their reads are over', async () => (await metric(node, 'flotilla_read_streams')) === 0);
  }),
);

/** A consumer whose connection takes the first 64 KiB, as HTTP/2 has it, and nothing more. */
function readNothing(node: ClusterNode, request: Partial<proto.ReadRequest>): ClientHttp2Session {
  const session = connect(`http://${node.address}`);
  // It is cut off at the end of the test.
  session.on('error', () => undefined);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/flotilla.v1.EventService/Read',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => undefined);
  const message = proto.ReadRequest.encode(readRequest(request)).finish();
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.byteLength, 1);
  stream.end(Buffer.concat([prefix, message]));
  return session;
}

async function othersAreServed(cluster: Cluster, client: EventClient, data: Buffer): Promise<void> {
  for (let round = 1; round <= 8; round++) {
    await append(client, [newEvent({ namespace: '/more', data })]);
    assert.equal((await readThrough(client, { glob: '/more' })).length, round);
  }
  const { code, stdout } = await cluster.command(cluster.node(2), ['consume', '-n', '/large', '--limit', '16']);
  assert.equal(code, 0);
  assert.ok(stdout.length > 16 * EVENT_BYTES);
}

async function residentBytes(node: ClusterNode): Promise<number> {
  return await metric(node, 'process_resident_memory_bytes');
}

async function metric(node: ClusterNode, name: string): Promise<number> {
  const answer = await node.http('/metrics');
  const value = new RegExp(`^${name} ([0-9.e+]+)$`, 'm').exec(answer?.text ?? '')?.[1];
  assert.ok(value !== undefined, `${name} is not among the metrics`);
  return Number(value);
}
