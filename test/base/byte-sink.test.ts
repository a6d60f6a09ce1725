import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteSink, ByteSource } from '../../src/base/index.js';

test('what was written is read again, in as few bytes as it takes', () => {
  const bits = fc.integer({ min: 0, max: 53 });
  const number = fc.tuple(bits, fc.maxSafeNat()).map(([width, value]) => Math.floor(value / 2 ** width));
  fc.assert(
    fc.property(fc.array(fc.tuple(number, fc.nat(2 ** 32 - 1), fc.uint8Array())), (items) => {
      const sink = new ByteSink(1);
      for (const [varint, word, content] of items) {
        const before = sink.bytes.byteLength;
        sink.varint(varint);
        assert.equal(sink.bytes.byteLength - before, Math.max(1, Math.ceil(varint.toString(2).length / 7)));
        sink.uint32(word);
        sink.prefixed(content);
      }
      const source = new ByteSource(sink.bytes);
      for (const [varint, word, content] of items) {
        assert.equal(source.varint(), varint);
        assert.equal(source.uint32(), word);
        assert.deepEqual(source.prefixed(), content);
      }
      assert.ok(source.atEnd);
    }),
  );
});

test('reading on behind the end, and what is no whole number, are broken invariants', () => {
  const sink = new ByteSink();
  sink.varint(300);
  assert.throws(() => new ByteSource(sink.bytes.subarray(0, 1)).varint(), /ends before/);
  assert.throws(() => new ByteSource(sink.bytes).uint32(), /ends before/);
  assert.throws(() => sink.varint(-1), /no whole number/);
});
