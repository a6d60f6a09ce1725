/**
 * What a named producer makes of what nodes answer: nothing is told to be absent that may be there, and no number is
 * used twice.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { ErrorCode } from '../../../src/base/index.js';
import { FlotillaClient, type Producer } from '../../../src/client/index.js';
import type { Handlers } from '../../../src/rpc/index.js';
import type { proto } from '../../../src/wire/index.js';
import { startFixture } from '../../rpc/rpc-fixture.js';

const INCARNATION = '7'.repeat(32);
const HOLDS_BACK: ReadonlySet<string> = new Set(['OUTCOME_UNKNOWN', 'NO_LEADER', 'TOO_MANY_REQUESTS']);

interface Fixture {
  readonly client: FlotillaClient;
  readonly producer: Producer;
  /** Sequences and sizes of the batches that came, in order. */
  readonly came: string[];
  /** What the next batches are told; those behind are acknowledged. */
  readonly answers: (ErrorCode | Promise<void>)[];
}

async function startProducer(context: TestContext, timeoutMs = 2000): Promise<Fixture> {
  const came: string[] = [];
  const answers: (ErrorCode | Promise<void>)[] = [];
  const answer = async ({ producer, packed }: proto.ProduceRequest): Promise<proto.ProduceResponse['outcome']> => {
    assert.deepEqual([producer?.producerId, producer?.epoch, producer?.incarnation], [12, 3, INCARNATION]);
    came.push(`${producer?.sequence}:${packed?.count}`);
    const told = answers.shift();
    if (typeof told === 'string')
      return { $case: 'failure', value: { code: told, message: `the node said ${told}`, leader: '' } };
    await told;
    const firstId = `${1000 + (producer?.sequence ?? 0)}.1`;
    const entry = { term: 1, logIndex: 2, incarnation: INCARNATION };
    return { $case: 'receipt', value: { firstId, lastId: '', count: packed?.count ?? 0, ...entry } };
  };
  // As a node does it: behind one that may go in later, no other is taken in.
  const produce: Handlers<typeof proto.EventServiceDefinition>['produce'] = async (stream, call) => {
    call.sendHeaders();
    let refusal: proto.ProduceResponse['outcome'];
    await stream.receive(async (request) => {
      const outcome = refusal ?? (await answer(request));
      if (outcome?.$case === 'failure' && HOLDS_BACK.has(outcome.value.code))
        refusal = { $case: 'failure', value: { ...outcome.value, code: 'NOT_LEADER' } };
      await stream.send({ requestId: request.requestId, outcome });
    });
  };
  const openProducer = async (): Promise<proto.OpenProducerResponse> => {
    return { producerId: 12, epoch: 3, lastSequence: 4, incarnation: INCARNATION };
  };
  const { address } = await startFixture(context, { produce, openProducer });
  const client = new FlotillaClient({ hosts: address, timeoutMs });
  context.after(() => client.close());
  return { client, producer: await client.openProducer('n'), came, answers };
}

const events = (count: number): { namespace: string }[] => Array.from({ length: count }, () => ({ namespace: '/n' }));

test('goes on behind the last batch of its name, and sends each again until it is answered', async (context) => {
  const { producer, came, answers } = await startProducer(context);
  assert.equal(producer.lastSequence, 4);
  answers.push('OUTCOME_UNKNOWN', 'NO_LEADER', 'TOO_MANY_REQUESTS');
  const [one, two] = await Promise.all([producer.append(events(1)), producer.append(events(2))]);
  assert.deepEqual([one?.eventId.counter, two?.eventId.counter, producer.lastSequence], [1005, 1006, 6]);
  assert.deepEqual(came, ['5:1', '5:1', '5:1', '5:1', '6:2']);
});

test('a refusal of a batch that may be there leaves it unknown, also when it is appended again', async (context) => {
  const { producer, came, answers } = await startProducer(context);
  answers.push('OUTCOME_UNKNOWN', 'PRODUCER_FENCED', 'PRODUCER_FENCED', 'PRODUCER_FENCED');
  await assert.rejects(producer.append(events(1)), { code: 'OUTCOME_UNKNOWN', message: /batch 5.*PRODUCER_FENCED/ });
  await assert.rejects(producer.append(events(1)), { code: 'OUTCOME_UNKNOWN' });
  await assert.rejects(producer.append(events(2)), { code: 'PRODUCER_FENCED' }, 'other events were never sent before');
  assert.deepEqual(came, ['5:1', '5:1', '5:1', '5:2']);
});

test('what was sent behind an unknown outcome is unknown, too; the same events settle it', async (context) => {
  const { producer, came, answers } = await startProducer(context);
  answers.push('OUTCOME_UNKNOWN', 'PRODUCER_EXPIRED');
  const [one, two] = await Promise.allSettled([producer.append(events(1)), producer.append(events(2))]);
  assert.equal(one.status === 'rejected' && one.reason.code, 'OUTCOME_UNKNOWN');
  assert.equal(two.status === 'rejected' && two.reason.code, 'OUTCOME_UNKNOWN');
  assert.equal(producer.lastSequence, 4);
  await Promise.all([producer.append(events(1)), producer.append(events(2)), producer.append(events(3))]);
  assert.equal(producer.lastSequence, 7);
  assert.deepEqual(came, ['5:1', '5:1', '6:2', '5:1', '6:2', '7:3']);
});

test('many batches are under way at once', async (context) => {
  const { producer, came, answers } = await startProducer(context);
  let release: () => void = () => undefined;
  answers.push(
    new Promise((resolve) => {
      release = resolve;
    }),
  );
  const calls = Array.from({ length: 40 }, () => producer.append(events(1)));
  release();
  await Promise.all(calls);
  assert.deepEqual(
    came,
    Array.from({ length: 40 }, (_, at) => `${5 + at}:1`),
  );
});

test('other events take the number of events that are not there, and the next one where they are', async (context) => {
  const { producer, came, answers } = await startProducer(context);
  answers.push('OUTCOME_UNKNOWN', 'PRODUCER_EXPIRED', 'SEQUENCE_REUSED');
  await assert.rejects(producer.append(events(1)), { code: 'OUTCOME_UNKNOWN' });
  await assert.rejects(producer.append(events(2)), { code: 'SEQUENCE_REUSED' });
  assert.equal(producer.lastSequence, 5);
  await producer.append(events(2));
  answers.push('OUTCOME_UNKNOWN', 'PRODUCER_EXPIRED');
  await assert.rejects(producer.append(events(3)), { code: 'OUTCOME_UNKNOWN' });
  await producer.append(events(4));
  assert.deepEqual(came, ['5:1', '5:1', '5:2', '6:2', '7:3', '7:3', '7:4']);
});

test('a refusal of what was never in doubt is passed on, and keeps no number', async (context) => {
  const { producer, came, answers } = await startProducer(context);
  answers.push('MESSAGE_TOO_LARGE');
  await assert.rejects(producer.append(events(1)), { code: 'MESSAGE_TOO_LARGE' });
  await producer.append(events(2));
  assert.deepEqual(came, ['5:1', '5:2']);
});

test('at its deadline a call that no node took is not appended; else its outcome is unknown', async (context) => {
  const { producer, answers } = await startProducer(context, 1000);
  answers.push(...Array.from({ length: 50 }, () => 'NO_LEADER' as const));
  await assert.rejects(producer.append(events(1)), { code: 'NO_LEADER' });
  answers.splice(0, 50, 'OUTCOME_UNKNOWN', ...Array.from({ length: 50 }, () => 'NO_LEADER' as const));
  await assert.rejects(producer.append(events(1)), { code: 'OUTCOME_UNKNOWN' });
});

test('events are taken as they are at the call; what makes no batch is refused there', async (context) => {
  const { producer, came } = await startProducer(context);
  const batch = events(1);
  const [first, second] = [producer.append(batch), producer.append(batch)];
  batch.push(...events(5));
  await Promise.all([first, second]);
  assert.deepEqual(came, ['5:1', '6:1']);
  await assert.rejects(producer.append([]), { code: 'INVALID_ARGUMENT' });
  await assert.rejects(producer.append([{ namespace: '' }]), { code: 'INVALID_ARGUMENT', message: /namespace/ });
});

test('closing waits for what was appended; the client closes those that are open', async (context) => {
  const { client, producer, came, answers } = await startProducer(context);
  answers.push('NO_LEADER');
  const calls = [producer.append(events(1)), producer.append(events(2))];
  await client.close();
  await Promise.all(calls);
  assert.deepEqual(came, ['5:1', '5:1', '6:2']);
  await assert.rejects(producer.append(events(1)), { code: 'CANCELLED' });
  await assert.rejects(client.openProducer('m'), { code: 'CANCELLED' });
});
