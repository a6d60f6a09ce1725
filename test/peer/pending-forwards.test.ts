import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { AssertionFailure, actorId, counter, FlotillaError, logIndex, term } from '../../src/base/index.js';
import { NO_PRODUCER } from '../../src/event/index.js';
import { checkPackedBody, type PackedBody, packBody } from '../../src/wire/index.js';
import { GROUP, makeMembers, pair, startNode, until } from './peer-fixture.js';

const bodyOf = (text: string): PackedBody => ({ body: Buffer.from(text), count: 1, checksum: crc32(text) });

test('a forward carries the batch to the leader and its place back', async (context) => {
  const { a, two } = await pair(context, {
    onForward: async (from, _group, body, { producer, epoch, sequence }) => ({
      firstCounter: counter(body.body.byteLength),
      actor: actorId(from + producer),
      index: logIndex(1 + epoch),
      term: term(body.count + sequence),
    }),
  });
  const stamp = { producer: 40, epoch: 50, sequence: 60 };
  assert.deepEqual(await a.links.forward(two.actor, GROUP, bodyOf('seven b'), stamp), {
    firstCounter: 7,
    actor: 41,
    index: 51,
    term: 61,
  });
  assert.deepEqual(await a.links.forward(two.actor, GROUP, bodyOf('x'), NO_PRODUCER), {
    firstCounter: 1,
    actor: 1,
    index: 1,
    term: 1,
  });
  const many = await Promise.all(
    Array.from({ length: 200 }, (_, n) => a.links.forward(two.actor, GROUP, bodyOf('x'.repeat(n + 1)), NO_PRODUCER)),
  );
  assert.deepEqual(
    many.map(({ firstCounter }) => firstCounter),
    Array.from({ length: 200 }, (_, n) => n + 1),
  );
});

test('the refusal of a forwarded batch comes back with its code and message', async (context) => {
  const { a, two } = await pair(context, {
    onForward: async () => {
      throw new FlotillaError('NOT_LEADER', 'actor 3 leads');
    },
  });
  await assert.rejects(a.links.forward(two.actor, GROUP, bodyOf('x'), NO_PRODUCER), {
    code: 'NOT_LEADER',
    message: 'actor 3 leads',
  });
});

test('a forwarded body that a client could not send is refused', async (context) => {
  let forwarded = 0;
  const { a, two } = await pair(context, {
    checkBody: (body) => checkPackedBody(body, { eventDataBytes: 1024 }),
    onForward: async () => {
      forwarded++;
      return { firstCounter: counter(1), actor: actorId(1), index: logIndex(1), term: term(1) };
    },
  });
  const event = {
    parentId: undefined,
    namespace: '/a',
    type: '',
    contentType: '',
    metadata: new Map(),
    data: Buffer.from('x'),
  };
  const sound = packBody([event]);
  const large = packBody([{ ...event, data: Buffer.alloc(1025) }]);
  for (const body of [{ ...sound, checksum: 1 }, { ...sound, count: 4_000_000 }, bodyOf('no batch'), large]) {
    const refused = a.links.forward(two.actor, GROUP, body, NO_PRODUCER);
    await assert.rejects(refused, { code: body === large ? 'MESSAGE_TOO_LARGE' : 'INVALID_ARGUMENT' });
  }
  assert.equal(forwarded, 0);
  await a.links.forward(two.actor, GROUP, sound, NO_PRODUCER);
  assert.equal(forwarded, 1);
});

test('without a link a batch is certainly not proposed', async (context) => {
  const [one, two] = await makeMembers(2);
  assert.ok(one !== undefined && two !== undefined);
  const a = await startNode(context, { members: [one, two], self: one });
  await assert.rejects(a.links.forward(two.actor, GROUP, bodyOf('x'), NO_PRODUCER), { code: 'NO_LEADER' });
  await assert.rejects(a.links.forward(one.actor, GROUP, bodyOf('x'), NO_PRODUCER), { code: 'NO_LEADER' });
});

test('a link that is lost before the answer leaves the outcome unknown', async (context) => {
  let arrived = 0;
  const { a, b, two } = await pair(context, {
    onForward: () => {
      arrived++;
      return new Promise(() => undefined);
    },
  });
  const outcomes = Promise.allSettled([
    a.links.forward(two.actor, GROUP, bodyOf('x'), NO_PRODUCER),
    a.links.forward(two.actor, GROUP, bodyOf('y'), NO_PRODUCER),
  ]);
  await until(() => arrived === 2, 'both have arrived');
  await b.kill();
  for (const outcome of await outcomes) {
    assert.equal(outcome.status, 'rejected');
    assert.equal(outcome.reason.code, 'OUTCOME_UNKNOWN');
  }
});

test('a defect on the leader is reported there and is an unknown outcome here', async (context) => {
  const { a, b, two } = await pair(context, {
    onForward: async () => {
      throw new AssertionFailure('an invariant is broken');
    },
  });
  await assert.rejects(a.links.forward(two.actor, GROUP, bodyOf('x'), NO_PRODUCER), { code: 'OUTCOME_UNKNOWN' });
  await until(() => b.internalErrors.length === 1, 'the defect is reported');
  assert.ok(b.internalErrors[0] instanceof AssertionFailure);
});
