import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { checkNamespace, checkStreamName, isSystemNamespace, namespaceProblem } from '../../src/event/index.js';
import { utf8Length } from '../../src/event/text.js';

describe('namespace', () => {
  const taken = [
    '/food/breakfast/eggs',
    'foo',
    '/',
    '$a',
    '/a/$b',
    ' a',
    'a ',
    '/a b',
    'é',
    '日本/語',
    '😀',
    '\ufeff/a',
    '\u200b',
    '__proto__',
    '..',
    '%00',
    '\u00a0a',
  ];
  for (const namespace of [...taken, 'a'.repeat(1024), 'é'.repeat(512), '😀'.repeat(256)]) {
    test(`takes ${JSON.stringify(namespace.slice(0, 30))} of ${namespace.length} characters`, () =>
      checkNamespace(namespace, 'namespace'));
  }

  const refused: readonly (readonly [what: string, namespace: string, why: RegExp])[] = [
    ['the empty name', '', /must not be empty/],
    ['1,025 bytes', 'a'.repeat(1025), /longer than 1024 bytes/],
    ['1,025 bytes in 1,024 characters', `é${'a'.repeat(1023)}`, /longer than 1024 bytes/],
    ['1,026 bytes in 513 characters', 'é'.repeat(513), /longer than 1024 bytes/],
    ['1,028 bytes in 514 units', '😀'.repeat(257), /longer than 1024 bytes/],
    ['ten million characters', 'a'.repeat(10_000_000), /longer than 1024 bytes/],
    ['NUL', '/a\0b', /control character/],
    ['a line break', '/a\n', /control character/],
    ['a tab', '\t/a', /control character/],
    ['DEL', '/a\x7f', /control character/],
    ['the first of C1', '/a\x80', /control character/],
    ['the last of C1', '/a\x9f', /control character/],
    ['a control character beside other text', '/é\x1b', /control character/],
    ['a space', ' ', /only white space/],
    ['spaces', '   ', /only white space/],
    ['Unicode spaces', '\u00a0\u2003\u3000\u2028', /only white space/],
    ['a lone high surrogate', '/a\ud800', /lone surrogate/],
    ['a lone high surrogate in the middle', '/\ud800a', /lone surrogate/],
    ['a lone low surrogate', '\udc00/a', /lone surrogate/],
    ['surrogates in the wrong order', '\udc00\ud800', /lone surrogate/],
    ["the system's prefix", '/$', /the system's/],
    ["the system's names", '/$parked/a', /the system's/],
  ];
  for (const [what, namespace, why] of refused) {
    test(`refuses ${what} and names the field`, () => {
      assert.throws(
        () => checkNamespace(namespace, 'events[3].namespace'),
        (error: Error & { code?: string }) =>
          error.code === 'INVALID_ARGUMENT' &&
          error.message.startsWith('events[3].namespace: ') &&
          why.test(error.message) &&
          error.message.length < 600,
      );
    });
  }

  test('the system writes its own names, which are no freer otherwise', () => {
    checkNamespace('/$parked/a', 'namespace', 'system');
    assert.throws(() => checkNamespace('/$parked/\n', 'namespace', 'system'));
    assert.equal(isSystemNamespace('/$'), true);
    assert.equal(isSystemNamespace('$/'), false);
  });

  test('agrees with the definition on any text', () => {
    const unit = fc.oneof(
      fc.constantFrom('\ud83d', '\ude00', ' ', '\u00a0', '\x85', '\x7f', '\0', '/', '$', 'a', 'é'),
      fc.integer({ min: 0, max: 0x10ffff }).map((codePoint) => String.fromCodePoint(codePoint)),
    );
    fc.assert(
      fc.property(
        fc.array(unit, { maxLength: 6 }).map((units) => units.join('')),
        (text) => {
          const wellFormed = !/\p{Surrogate}/u.test(text);
          const valid =
            text !== '' &&
            wellFormed &&
            !/\p{Cc}/u.test(text) &&
            !/^[\s\ufeff]*$/u.test(text) &&
            !text.startsWith('/$');
          assert.equal(namespaceProblem(text) === undefined, valid, JSON.stringify(text));
          assert.equal(utf8Length(text), wellFormed ? Buffer.byteLength(text) : undefined);
        },
      ),
      { numRuns: 600 },
    );
  });
});

describe('stream name', () => {
  test('takes 1 to 50 of A-Z, a-z, 0-9, dot, underscore and hyphen', () => {
    for (const name of ['default', 'a', 'A-Z_0.9', '-', 'x'.repeat(50)]) checkStreamName(name, 'stream');
  });

  for (const name of ['', 'x'.repeat(51), 'a b', 'a/b', 'é', 'a\n', 'a:b', '\0', '\ud800', 'x'.repeat(1_000_000)]) {
    test(`refuses ${JSON.stringify(name.slice(0, 20))} of ${name.length} characters`, () => {
      assert.throws(() => checkStreamName(name, 'stream'), { code: 'INVALID_ARGUMENT', message: /^stream: .{1,200}$/ });
    });
  }
});
