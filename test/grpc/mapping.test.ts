import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError } from '../../src/base/index.js';
import { batchFromProto, numberedFromProto } from '../../src/grpc/batch-mapping.js';
import { partToProto, readFromProto } from '../../src/grpc/read-mapping.js';
import { packBody, proto } from '../../src/wire/index.js';
import { readRequest } from '../support/read-request.js';

const event = (parentId = ''): proto.NewEvent => ({
  namespace: '/a',
  parentId,
  data: new Uint8Array(0),
  type: '',
  contentType: '',
  metadata: new Map(),
});
const produce = (given: Partial<proto.ProduceRequest>): proto.ProduceRequest => ({
  requestId: '7',
  stream: '',
  events: [],
  packed: undefined,
  producer: undefined,
  ...given,
});

const ARRIVAL = { sentAfterMs: 1000 };

test('what is wrong with one batch of a producer is said of that batch', () => {
  const { requestId, batch } = numberedFromProto(produce({ events: [event(), event('not an id')] }), ARRIVAL);
  assert.equal(requestId, '7');
  assert.ok(batch instanceof FlotillaError);
  assert.match(batch.message, /^events\[1\]\.parent_id: /);
});

test('a batch has plain events or a packed body, not both, and a stamp with all its numbers', () => {
  const packed = packBody([{ namespace: '/a', data: new Uint8Array(0) }]);
  assert.deepEqual(batchFromProto(produce({ packed }), ARRIVAL).content, { kind: 'packed', packed });
  assert.throws(() => batchFromProto(produce({ packed, events: [event()] }), ARRIVAL), { code: 'INVALID_ARGUMENT' });
  const producer = { producerId: 5, epoch: 1, sequence: 0, incarnation: '', firstSentMsAgo: 0, bornAfter: 0 };
  assert.throws(() => batchFromProto(produce({ packed, producer }), ARRIVAL), /producer\.sequence: is missing/);
});

test('what was made of a large body elsewhere counts, be it a refusal', () => {
  const body = packBody([{ namespace: '/a', data: new Uint8Array(0) }]);
  assert.deepEqual(batchFromProto({ ...produce({}), taken: body }, ARRIVAL).content, { kind: 'checked', body });
  const refusal = new FlotillaError('MESSAGE_TOO_LARGE', 'too large');
  assert.equal(numberedFromProto({ ...produce({}), taken: refusal }, ARRIVAL).batch, refusal);
});

test('a read is as consistent as its request says, and a way that nobody knows is refused', () => {
  const { UNSPECIFIED, CONFIRMED, LOCAL } = proto.Consistency;
  const asked = [UNSPECIFIED, CONFIRMED, LOCAL].map(
    (consistency) => readFromProto(readRequest({ consistency })).consistency,
  );
  assert.deepEqual(asked, ['default', 'confirmed', 'local']);
  const unknown = { ...readRequest(), consistency: 3 as proto.Consistency };
  assert.throws(() => readFromProto(unknown), { code: 'INVALID_ARGUMENT', message: /^consistency: 3/ });
});

test('a read of an empty stream begins without the id of an end', () => {
  const started = { kind: 'started', incarnation: 'f', endId: undefined, confirmed: true } as const;
  assert.deepEqual(partToProto(started), {
    content: { $case: 'started', value: { incarnation: 'f', endId: '', confirmed: true } },
  });
});
