import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { LIMITS } from '../../src/base/index.js';
import { unrestricted } from '../../src/service/index.js';
import {
  type NumberedBatch,
  type ProduceAnswer,
  type ProducerStream,
  ProduceSession,
} from '../../src/service/produce-session.js';
import { createMetrics } from '../../src/telemetry/index.js';
import { batch, StreamCluster } from '../support/stream-cluster.js';

/** A producer's stream in memory: `ask` is what it sends, `answers` what it hears. */
class FakeStream implements ProducerStream {
  readonly answers: ProduceAnswer[] = [];
  ask: (batch: NumberedBatch) => unknown = () => undefined;
  end: () => void = () => undefined;

  answer(answer: ProduceAnswer): undefined {
    this.answers.push(answer);
  }

  receive(onBatch: (batch: NumberedBatch) => Promise<void> | undefined): Promise<void> {
    this.ask = onBatch;
    return new Promise((resolve) => {
      this.end = resolve;
    });
  }
}

interface Scene {
  readonly cluster: StreamCluster;
  readonly stream: FakeStream;
  /** What was answered so far: codes, and kinds of answers. */
  readonly told: () => (string | undefined)[];
  ask(requestId: number): void;
}

/** A producer of node 2, whose stream the node ends with a failure. */
async function withProducer(context: TestContext, code: string, play: (scene: Scene) => Promise<void>): Promise<void> {
  const cluster = new StreamCluster();
  const metrics = createMetrics();
  context.after(() => metrics.close());
  const stream = new FakeStream();
  const session = new ProduceSession({
    streams: {
      find: () => cluster.stream(2),
      leaderAddress: ({ group: { leader } }) => (leader === undefined ? undefined : `node${leader}:3000`),
      memberAddresses: () => ['node1:3000', 'node2:3000', 'node3:3000'],
    },
    limits: { eventDataBytes: LIMITS.eventDataBytes },
    metrics,
    caller: unrestricted('test'),
    call: stream,
  });
  const ended = assert.rejects(session.run(), { code });
  await play({
    cluster,
    stream,
    told: () => stream.answers.map((answer) => (answer.kind === 'failure' ? answer.failure.code : answer.kind)),
    ask: (requestId) =>
      void stream.ask({
        requestId: String(requestId),
        batch: { stream: '', content: { kind: 'packed', packed: batch() } },
      }),
  });
  await ended;
}

test('a producer that no leader served is told when there is one, and to open another stream', (context) =>
  withProducer(context, 'NO_LEADER', async ({ cluster, stream, told, ask }) => {
    ask(1);
    await cluster.settle();
    assert.deepEqual(told(), ['NO_LEADER']);
    await cluster.elect(1);
    assert.deepEqual(stream.answers.slice(1), [
      { kind: 'leader', actor: 1, address: 'node1:3000', members: ['node1:3000', 'node2:3000', 'node3:3000'] },
    ]);
  }));

test('a batch for the next leader waits for the last one, and is not taken in behind a refusal', (context) =>
  withProducer(context, 'NOT_LEADER', async ({ cluster, told, ask }) => {
    await cluster.elect(1);
    // The leader takes it in, and loses the link to the others before they have it.
    ask(1);
    cluster.server(1).clock.runSoon();
    cluster.cut(1);
    await cluster.elect(3);
    ask(2);
    await cluster.settle();
    assert.deepEqual(told(), ['leader', 'leader']);
    cluster.heal(1);
    await cluster.advance(200);
    assert.deepEqual(told(), ['leader', 'leader', 'NOT_LEADER', 'NOT_LEADER']);
    assert.deepEqual(await cluster.eventsOf(3), []);
  }));
