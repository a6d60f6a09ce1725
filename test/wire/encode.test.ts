import assert from 'node:assert/strict';
import { it } from 'node:test';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { decodeMessage, encodeMessage, proto } from '../../src/wire/index.js';

const batches = (...sizes: readonly number[]): proto.BatchList => ({
  batches: sizes.map((size) => Buffer.alloc(size, size % 251)),
});
const alone = (list: proto.BatchList): Buffer => Buffer.from(proto.BatchList.encode(list, new BinaryWriter()).finish());

it('messages one after the other are encoded as by a writer of their own, each in its own memory', () => {
  const lists = [
    batches(70_000, 70_000),
    batches(1),
    batches(2_000_000),
    batches(),
    batches(127, 128),
    batches(600_000),
    batches(5),
  ];
  const encoded = lists.map((list) => encodeMessage(proto.BatchList, list));
  for (const [at, list] of lists.entries()) {
    const bytes = encoded[at] ?? Buffer.alloc(0);
    assert.equal(bytes.equals(alone(list)), true, `message ${at}`);
    assert.deepEqual(decodeMessage(proto.BatchList, bytes).batches.map(Buffer.from), list.batches, `message ${at}`);
  }
});

it('a message that can not be encoded leaves nothing behind in the next one', () => {
  const broken = { batches: [Buffer.alloc(10), undefined as unknown as Uint8Array] };
  assert.throws(() => encodeMessage(proto.BatchList, broken), TypeError);
  const list = batches(3, 4);
  assert.equal(encodeMessage(proto.BatchList, list).equals(alone(list)), true);
});
