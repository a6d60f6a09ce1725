import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { actorId, counter, FlotillaError } from '../../src/base/index.js';
import { compareEventIds, formatEventId, parseEventId } from '../../src/event/index.js';

const anyId = fc.record(
  {
    counter: fc.maxSafeNat().map((value) => counter(Math.max(1, value))),
    actor: fc.integer({ min: 1, max: 65535 }).map(actorId),
  },
  { noNullPrototype: true },
);

describe('event id', () => {
  test('counter 1 of actor 1 is written as the contract says', () => {
    assert.equal(formatEventId({ counter: counter(1), actor: actorId(1) }), '0000000000000000000100001');
    assert.equal(
      formatEventId({ counter: counter(Number.MAX_SAFE_INTEGER), actor: actorId(65535) }),
      '0000900719925474099165535',
    );
  });

  test('is read from 25 digits and from counter.actor', () => {
    assert.deepEqual(parseEventId('0000000000000000000100001', 'id'), { counter: 1, actor: 1 });
    assert.deepEqual(parseEventId('12345.7', 'id'), { counter: 12345, actor: 7 });
    assert.deepEqual(parseEventId('1.65535', 'id'), { counter: 1, actor: 65535 });
    assert.deepEqual(parseEventId('9007199254740991.1', 'id'), { counter: 9007199254740991, actor: 1 });
    assert.deepEqual(parseEventId('0000900719925474099165535', 'id'), { counter: 9007199254740991, actor: 65535 });
  });

  test('both forms come back the same, and sort as text as they sort as ids', () => {
    fc.assert(
      fc.property(anyId, anyId, (left, right) => {
        assert.deepEqual(parseEventId(formatEventId(left), 'id'), left);
        assert.deepEqual(parseEventId(`${left.counter}.${left.actor}`, 'id'), left);
        const [leftText, rightText] = [formatEventId(left), formatEventId(right)];
        assert.equal(leftText.length, 25);
        assert.equal(Math.sign(compareEventIds(left, right)), leftText < rightText ? -1 : leftText > rightText ? 1 : 0);
      }),
    );
  });

  const refused: readonly (readonly [what: string, text: string])[] = [
    ['nothing', ''],
    ['no actor', '4.'],
    ['no counter', '.4'],
    ['neither form', '7654'],
    ['24 digits', '000000000000000000010001'],
    ['26 digits', '00000000000000000000100001'],
    ['actor 0, short', '5.0'],
    ['actor 0, long', '0000000000000000000500000'],
    ['actor 65536, short', '5.65536'],
    ['actor 65536, long', '0000000000000000000565536'],
    ['actor 99999', '0000000000000000000599999'],
    ['counter 0, short', '0.1'],
    ['counter 0, long', '0000000000000000000000001'],
    ['counter 2^53, short', '9007199254740992.1'],
    ['counter 2^53, long', '0000900719925474099200001'],
    ['counter 2^53 + 1, which a number does not hold', '9007199254740993.1'],
    ['counter 2^63', '9223372036854775808.1'],
    ['counter 2^64 - 1', '18446744073709551615.1'],
    ['the largest 25 digits', '9999999999999999999999999'],
    ['a plus sign', '+5.1'],
    ['a minus sign', '-5.1'],
    ['a sign before the actor', '5.+1'],
    ['a leading space', ' 5.1'],
    ['a trailing space', '5.1 '],
    ['a trailing line break', '5.1\n'],
    ['a line break after 25 digits', '0000000000000000000100001\n'],
    ['an exponent', '1e3.1'],
    ['hexadecimal', '0x1.1'],
    ['Arabic-Indic digits', '\u0661\u0662.\u0661'],
    ['fullwidth digits', '\uff11.\uff11'],
    ['two dots', '1.2.3'],
    ['a comma', '1,2'],
    ['21 digits of counter', '000000000000000000001.1'],
    ['6 digits of actor', '1.000001'],
    ['words', '__proto__'],
    ['25 letters', 'abcdefghijklmnopqrstuvwxy'],
  ];
  for (const [what, text] of refused) {
    test(`refuses ${what} and names the field`, () => {
      assert.throws(
        () => parseEventId(text, 'start_after'),
        (error) => {
          assert.ok(error instanceof FlotillaError);
          assert.equal(error.code, 'INVALID_ARGUMENT');
          assert.match(error.message, /^start_after: .* is not an event id: /);
          return true;
        },
      );
    });
  }

  test('a refusal stays short and on one line, whatever the text', () => {
    for (const text of ['9'.repeat(1_000_000), 'a\nb\u001b[31m', '\ud800']) {
      assert.throws(
        () => parseEventId(text, 'id'),
        (error) =>
          error instanceof FlotillaError && error.message.length < 250 && /^[\x20-\x7e…]*$/.test(error.message),
      );
    }
  });
});
