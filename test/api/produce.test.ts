import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProduceSession } from '../../src/api/produce.js';
import { LIMITS } from '../../src/base/index.js';
import type { DuplexStream } from '../../src/rpc/index.js';
import { createMetrics } from '../../src/telemetry/index.js';
import type { proto } from '../../src/wire/index.js';
import { batch, ReplicaCluster } from '../replica/replica-cluster.js';

/** A producer's stream in memory: `ask` is what it sends, `answers` what it hears. */
class FakeStream implements DuplexStream<proto.ProduceRequest, proto.ProduceResponse> {
  readonly answers: proto.ProduceResponse['outcome'][] = [];
  ask: (request: proto.ProduceRequest) => unknown = () => undefined;
  end: () => void = () => undefined;

  send(response: proto.ProduceResponse): undefined {
    this.answers.push(response.outcome);
  }

  receive(onMessage: (request: proto.ProduceRequest) => Promise<void> | undefined): Promise<void> {
    this.ask = onMessage;
    return new Promise((resolve) => {
      this.end = resolve;
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<proto.ProduceRequest> {
    throw new Error('the session receives');
  }
}

test('whoever was refused for want of a leader is told when there is one', async (context) => {
  const cluster = new ReplicaCluster();
  const metrics = createMetrics();
  context.after(() => metrics.close());
  const stream = new FakeStream();
  const session = new ProduceSession({
    streams: {
      find: () => cluster.replica(2),
      leaderAddress: ({ leader }) => (leader === undefined ? undefined : `node${leader}:3000`),
      memberAddresses: () => ['node1:3000', 'node2:3000', 'node3:3000'],
    },
    limits: { eventDataBytes: LIMITS.eventDataBytes },
    metrics,
    stream,
  });
  const running = session.run();
  stream.ask({ requestId: 1, stream: '', events: [], packed: batch(), producer: undefined });
  await cluster.settle();
  assert.deepEqual(
    stream.answers.map((answer) => (answer?.$case === 'failure' ? answer.value.code : answer?.$case)),
    ['NO_LEADER'],
  );
  await cluster.elect(1);
  assert.deepEqual(stream.answers.slice(1), [
    { $case: 'leader', value: { actorId: 1, address: 'node1:3000', members: ['node1:3000', 'node2:3000', 'node3:3000'] } },
  ]);
  stream.end();
  await running;
});
