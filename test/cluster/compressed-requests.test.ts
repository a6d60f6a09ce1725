/** Small requests that become large ones: they cost a node neither its memory nor its attention. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { LIMITS } from '../../src/base/index.js';
import { encodeMessage, proto } from '../../src/wire/index.js';
import { withReadyCluster } from '../support/cluster.js';
import { type ClusterNode, newEvent } from '../support/cluster-node.js';

const MIB = 1024 * 1024;
/**
 * Before: 1.5 to 3.5 GiB. A node at rest has some 100 MiB, and its thread for large batches may have as much as three
 * times that.
 */
const RESIDENT_BYTES_MAX = 700 * MIB;
/** Before: 8 to 17 s. It is some 50 ms on a machine that has nothing else to do. */
const ANSWER_MS_MAX = 4000;

/** So many events, each of which is nothing. */
const emptyEvents = (count: number): Buffer => Buffer.alloc(2 * count, Uint8Array.from([0x12, 0x00]));

test(
  'requests of some KB that inflate to millions of events are refused, one and a hundred at once, and the node goes on',
  withReadyCluster({ nodes: 1 }, async (cluster) => {
    const node = cluster.node(1);
    const attention = watch(node);
    const session = connect(`http://${node.address}`);
    const refused = {
      status: '3',
      message: `events: there are more than the ${LIMITS.eventsPerBatch} that one batch may have`,
    };
    for (const count of [3_000_000, 9_900_000])
      assert.deepEqual(await append(session, gzipSync(emptyEvents(count)), true), refused);
    assert.deepEqual(await append(session, emptyEvents(1_000_000), false), refused);
    const bomb = gzipSync(emptyEvents(9_900_000));
    assert.ok(bomb.byteLength < 32 * 1024);
    const outcomes = await Promise.all(Array.from({ length: 100 }, () => append(session, bomb, true)));
    for (const outcome of outcomes) assert.deepEqual(outcome, refused);

    const events = Array.from({ length: LIMITS.eventsPerBatch }, (_, at) =>
      newEvent({ namespace: `/n/${at % 100}`, data: Buffer.from('x') }),
    );
    const largest = encodeMessage(proto.AppendRequest, { stream: '', events, packed: undefined, producer: undefined });
    for (const compressed of [false, true]) {
      assert.deepEqual(await append(session, compressed ? gzipSync(largest) : largest, compressed), {
        status: '0',
        message: '',
      });
    }
    session.destroy();
    const longestMs = await attention.end();
    assert.ok(longestMs < ANSWER_MS_MAX, `the node was silent for ${longestMs} ms`);
    const peak = Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${node.pid}/status`, 'utf8'))?.[1]) * 1024;
    assert.ok(peak < RESIDENT_BYTES_MAX, `it took ${Math.round(peak / MIB)} MiB`);
    assert.equal((await cluster.equalDumps()).length, 2 * LIMITS.eventsPerBatch);
  }),
);

async function append(
  session: ClientHttp2Session,
  message: Uint8Array,
  compressed: boolean,
): Promise<{ status: string; message: string }> {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/flotilla.v1.EventService/Append',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...(compressed ? { 'grpc-encoding': 'gzip' } : {}),
  });
  const told: Record<string, unknown> = {};
  stream
    .on('response', (headers) => Object.assign(told, headers))
    .on('trailers', (headers) => Object.assign(told, headers));
  stream.resume();
  const prefix = Buffer.from([compressed ? 1 : 0, 0, 0, 0, 0]);
  prefix.writeUInt32BE(message.byteLength, 1);
  stream.end(Buffer.concat([prefix, message]));
  await once(stream, 'close');
  const text = decodeURI(String(told['grpc-message'] ?? ''));
  return { status: String(told['grpc-status']), message: text === 'OK' ? '' : text };
}

/** Asks a node all the time how it is; `end` tells how long the longest answer took. */
function watch(node: ClusterNode): { end(): Promise<number> } {
  let longestMs = 0;
  let watching = true;
  const done = (async () => {
    while (watching) {
      const start = performance.now();
      assert.ok((await node.status()) !== undefined);
      longestMs = Math.max(longestMs, performance.now() - start);
    }
  })();
  return {
    end: async () => {
      watching = false;
      await done;
      return longestMs;
    },
  };
}
