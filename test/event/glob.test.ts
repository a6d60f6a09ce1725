import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FlotillaError } from '../../src/base/index.js';
import { compileGlob, DEFAULT_GLOB } from '../../src/event/index.js';
import { referenceGlob } from './glob-reference.js';

/** Each row: a pattern, what it matches, what it does not. */
const TABLE: readonly (readonly [pattern: string, matching: readonly string[], other: readonly string[]])[] = [
  // The contract's own examples.
  ['/*', ['/foo', '/'], ['/foo/bar', 'foo', '/foo/', '/.foo', '']],
  ['/*suffix', ['/foo_suffix', '/suffix'], ['/suffixPlusMore', '/foo/suffix', '/.suffix']],
  [
    '/foo/**/bar',
    ['/foo/bar', '/foo/x/y/bar', '/foo//bar', '/foo/bar/bar'],
    ['/foo', '/foo/bar/', '/foobar', '/foo/.x/bar', '/foo/x'],
  ],
  [
    '/root/**/foo/bar*',
    ['/root/foo/barista', '/root/foo/foo/bar', '/root/foo/bar'],
    ['/root/bar', '/root/foo/x/bar', '/root/foo/bar/x'],
  ],
  [
    '/foo/**',
    ['/foo/', '/foo/a', '/foo/a/b', '/foo/a/', '/foo//'],
    ['/foo', '/foobar', '/foo/.a', '/foo/a/.b', '/foo/.a/b', 'foo/a'],
  ],
  ['**/foo', ['/foo', 'foo', 'a/foo', '/a/b/foo', '//foo'], ['/foo/', 'xfoo', '/.a/foo', '/foo/a']],
  ['/**/**/', ['/', '/a/', '/a/b/'], ['/a', 'a/', '', '/.a/']],
  ['/**/', ['/', '/a/', '/a/b/'], ['/a', 'a/', '', '/.a/']],
  // A pattern that ends in a slash matches only names that do.
  ['**/', ['/', 'a/', 'a/b/', '/a/', '//'], ['a', '/a', '.a/', '/.a/', 'a/b']],
  ['**/**/', ['/', 'a/', 'a/b/', '/a/'], ['a', '/a', '.a/']],
  ['/**/**/**/', ['/', '/a/', '/a/b/', '//'], ['/a', 'a/', '/.a/', '/a/.b/']],
  ['/foo/**/', ['/foo/', '/foo/a/', '/foo//', '/foo/a/b/'], ['/foo', '/foo/a', '/foo/.a/', '/foobar/']],
  ['/*/', ['/a/', '//'], ['/a', '/', '/.a/', '/a/b/']],
  ['/foo/', ['/foo/'], ['/foo', '/foo//', '/foo/a']],
  ['/$a/**/', ['/$a/', '/$a/b/'], ['/$a', '/$a/b', '/a/']],
  ['/*.x', ['/.x', '/a.x', '/a.b.x'], ['/.a.x', '/x', '/.xy']],
  ['[*]', ['*'], ['a', '']],
  ['[]]', [']'], ['[', '[]]']],
  ['[!]]', ['a', '['], [']', '.', '/', 'ab']],
  ['[z-a]', [], ['a', 'z', 'm', '-']],
  ['[!z-a]', ['a', '-'], ['.', '/', '']],
  ['[a-]', ['a', '-'], ['b']],
  ['[-a]', ['a', '-'], ['b']],
  ['[!-a]', ['b'], ['a', '-']],
  ['[a-c-e]', ['a', 'b', 'c', '-', 'e'], ['d']],
  ['[--0]', ['-', '0'], ['1', ',']],
  ['[]-a]', [']', '^', '_', '`', 'a'], ['-', 'b']],
  ['[!!]', ['a'], ['!']],
  ['[a!]', ['a', '!'], ['b']],
  ['[^a]', ['^', 'a'], ['b']],
  ['[[]', ['['], [']']],
  ['[\\]', ['\\'], [']']],
  ['[?]', ['?'], ['a']],
  ['[**]', ['*'], ['**', 'a']],
  ['/x[a/b]', ['/xa', '/xb'], ['/x/', '/x']],
  ['/x[!a]', ['/xb', '/x.'], ['/x/', '/xa', '/x']],
  ['/x[+-9]y', ['/x.y', '/x0y'], ['/x/y']],
  // A leading dot.
  ['/.x', ['/.x'], ['/x']],
  ['/?x', ['/ax'], ['/.x', '//x', '/x']],
  ['/[.]x', [], ['/.x']],
  ['/[!a]x', ['/bx'], ['/.x']],
  ['/*[.]x', ['/a.x'], ['/.x']],
  ['/*?x', ['/ax', '/a.x'], ['/.x']],
  ['/*.*', ['/.x', '/a.b', '/.', '/..'], ['/x']],
  ['/a*', ['/a.b', '/a.'], ['/.a']],
  ['.*', ['.', '.a', '..'], ['a', 'a.']],
  ['*', ['a', ''], ['.a', '/a', 'a/']],
  ['**/.x', ['.x', '/.x', 'a/.x'], ['.a/.x', 'x']],
  ['/**/.x/**', ['/.x/', '/.x/a', '/a/.x/b'], ['/.x', '/.x/.a']],
  // Neither the first nor the last place for the middle part is right for every name.
  ['**/*.x/**/c', ['y.x/.x/c', '.x/c', 'y.x/c', 'y.x/z/c', 'a/y.x/y.x/c'], ['y.x/.y/c', '.x/.x/c']],
  ['**/a/**/b', ['a/b', 'a/a/b/b', '/x/a/y/b', 'b/a/b'], ['b/a', 'a', 'a/.c/b', 'a/b/c']],
  // Ordinary patterns that look like everything.
  ['**', ['a', '/a', '/a/b', '/', ''], ['.a', '/.a', '/a/.b', '/$a']],
  ['/**', ['/', '/a', '/a/b', '/a/'], ['a', '/.a', '/a/.b', '/$a']],
  ['**/*/*', ['/a', 'a/b', '/'], ['a', '/.a', '/$a/b']],
  ['/*/**/*', ['/a/b', '//', '/a/'], ['/a', '/.a/b']],
  // Everything.
  ['/**/*', ['a', '/a', '.a', '/.a', '/a/.b/c', '/', '$a', 'a/$b', '//$', '/a/$'], ['/$', '/$a', '/$a/b']],
  ['**/*', ['a', '/a', '.a', '/.a', '/a/.b/c', '/', '$a'], ['/$', '/$a', '/$a/b']],
  ['/**/**/*', ['a', '/.a'], ['/$a']],
  // The system's names.
  ['/$*', ['/$', '/$a'], ['/$a/b', '/a', '$']],
  ['/$a/**', ['/$a/', '/$a/b/c'], ['/$a', '/$b/c']],
  ['/$parked/*/x', ['/$parked/g/x'], ['/$parked/x']],
  ['/?a', ['/ba'], ['/$a']],
  ['/[$]a', [], ['/$a']],
  ['/*a', ['/a'], ['/$a']],
  ['/**/a', ['/a', '/b/a', '/b/$x/a'], ['/$x/a']],
  ['*/$a', ['x/$a'], ['/$a']],
  // Literals.
  ['a]', ['a]'], ['a']],
  ['\\*', ['\\', '\\x'], ['*', 'x']],
  ['{a,b}', ['{a,b}'], ['a', 'b']],
  ['a.c', ['a.c'], ['abc']],
  ['(a|b)+$^', ['(a|b)+$^'], ['a']],
  ['/foo', ['/foo'], ['/FOO', '/foo/', 'foo', '/fooo']],
  ['foo//bar', ['foo//bar'], ['foo/bar', 'foo/x/bar']],
  // Code points.
  ['/?', ['/é', '/😀', '/\u{10ffff}'], ['/😀😀', '/']],
  ['/??', ['/😀a', '/ab'], ['/😀']],
  ['/[😀-😂]', ['/😀', '/😁', '/😂'], ['/😃', '/a', '/\u{1f600}\u{1f600}']],
  ['/[!a]', ['/😀'], ['/a']],
  ['/*😀', ['/😀', '/😀😀', '/a😀'], ['/a', '/😁']],
  ['/*[!😀]b', ['/ab', '/😀ab'], ['/😀b']],
  ['/*[é]*', ['/é', '/aéb'], ['/e']],
  ['é', ['é'], ['e\u0301']],
  // An empty component is one.
  ['/foo/*', ['/foo/', '/foo/a'], ['/foo', '/foo/a/']],
  ['/foo/*/bar', ['/foo//bar', '/foo/a/bar'], ['/foo/bar', '/foo/a/b/bar']],
  ['/foo/?/bar', ['/foo/a/bar'], ['/foo//bar']],
  ['*/**/', ['/', 'a/', 'a/b/'], ['a', '']],
  ['a*b*c', ['abc', 'axbxc', 'abbcc', 'abcbc'], ['ab', 'acb', 'abcd', 'a/b/c']],
];

describe('glob', () => {
  for (const [pattern, matching, other] of TABLE) {
    test(`${pattern} matches as the contract says`, () => {
      const glob = compileGlob(pattern);
      for (const name of matching) {
        assert.equal(glob.matches(name), true, `${pattern} must match ${JSON.stringify(name)}`);
        assert.equal(name.startsWith(glob.literalPrefix), true, `${name} begins with ${glob.literalPrefix}`);
      }
      for (const name of other)
        assert.equal(glob.matches(name), false, `${pattern} must not match ${JSON.stringify(name)}`);
    });
  }

  test('refused patterns are named with the field and the character', () => {
    const refused: readonly (readonly [string, number])[] = [
      ['', 1],
      ['/***', 2],
      ['***', 1],
      ['/**foo', 2],
      ['/foo**', 5],
      ['/foo**/bar', 5],
      ['/**[a]', 2],
      ['/[a]**', 5],
      ['/**/x**', 6],
      ['**?', 1],
      ['😀**', 2],
      ['[unclosed', 1],
      ['/foo/[', 6],
      ['/foo/[!', 6],
      ['[]', 1],
      ['/a[]', 3],
      ['[!]', 1],
      ['/[]/x', 2],
      ['/a\0', 3],
    ];
    for (const [pattern, position] of refused) {
      assert.throws(
        () => compileGlob(pattern, 'read.glob'),
        (error) => {
          assert.ok(error instanceof FlotillaError);
          assert.equal(error.code, 'INVALID_ARGUMENT');
          assert.match(error.message, /^read\.glob: /);
          assert.match(error.message, new RegExp(`at character ${position}\\b`), `${pattern}: ${error.message}`);
          return true;
        },
      );
    }
  });

  test('patterns are text of at most 1,024 bytes', () => {
    assert.equal(compileGlob('a'.repeat(1024)).matches('a'.repeat(1024)), true);
    for (const pattern of ['a'.repeat(1025), 'é'.repeat(513), 'a*'.repeat(5000), '\ud800', 'a\udc00b']) {
      assert.throws(() => compileGlob(pattern), { code: 'INVALID_ARGUMENT' });
    }
    assert.equal(compileGlob('é'.repeat(512)).matches('é'.repeat(512)), true);
  });

  test('only the default glob is everything', () => {
    for (const pattern of [DEFAULT_GLOB, '**/*', '/**/**/*'])
      assert.equal(compileGlob(pattern).everything, true, pattern);
    for (const pattern of ['**', '/**', '*', '/*/**/*', '**/*/', '**/**', '/**/?', '//**/*', '/**/*a', '/$*/**/*']) {
      assert.equal(compileGlob(pattern).everything, false, pattern);
    }
  });

  test('the literal prefix is what stands before the first wildcard', () => {
    const prefixes = {
      '/foo/bar': '/foo/bar',
      '/foo/b*': '/foo/b',
      '/foo/**': '/foo/',
      '**/a': '',
      '/**/*': '',
      '/a[b]': '/a',
      '/a/?': '/a/',
      '/$x/*': '/$x/',
    };
    for (const [pattern, prefix] of Object.entries(prefixes))
      assert.equal(compileGlob(pattern).literalPrefix, prefix, pattern);
  });

  test('hostile patterns take no longer than pattern times name', () => {
    const name = 'a'.repeat(10_000);
    const patterns = [`${'a*'.repeat(511)}b`, `${'*a'.repeat(511)}b`, `*${'a?'.repeat(200)}b`];
    const path = 'a/'.repeat(5_000);
    const paths = [`${'**/a/'.repeat(200)}b`, `${'**/a*/'.repeat(160)}b`];
    for (const [pattern, subject] of [
      ...patterns.map((each) => [each, name] as const),
      ...paths.map((each) => [each, path] as const),
    ]) {
      const glob = compileGlob(pattern);
      assert.equal(glob.matches(subject), false);
      assert.ok(processorMs(() => glob.matches(subject)) < 300, pattern.slice(0, 20));
    }
  });

  // Where a match fails at its last character, whatever the pattern consists of: the contract's figure holds for each.
  const letters = (count: number): string => 'a'.repeat(count);
  const rare = (count: number): string =>
    Array.from({ length: count }, (_, at) => String.fromCodePoint(0x100 + at)).join('');
  const hostile: readonly (readonly [pattern: string, name: string])[] = [
    [`*${letters(500)}b`, letters(1024)],
    [`*${letters(1022)}b`, letters(1024)],
    [`${'a*'.repeat(511)}b`, letters(1024)],
    [`${'?*'.repeat(511)}b`, letters(1024)],
    [`*${'a?'.repeat(500)}b`, letters(1024)],
    [`*${'[a-b]'.repeat(200)}c`, letters(1024)],
    [`*${'[!b]'.repeat(250)}/`, rare(512)],
    [`*${[...rare(195)].map((member) => `[!${member}]`).join('')}/`, rare(512)],
    [`*[${rare(500)}]/`, rare(512)],
    [`*${letters(1000)}b`, rare(512)],
    [`${'**/a/'.repeat(204)}b`, 'a/'.repeat(512)],
    [`${'**/*a*/'.repeat(146)}b`, 'a/'.repeat(512)],
    [`${'**/*a*/'.repeat(146)}b`, letters(1024)],
    [`${'**/*/'.repeat(204)}b`, '/'.repeat(1024)],
    [`${'.*/**/'.repeat(170)}b`, './'.repeat(512)],
  ];
  for (const [pattern, name] of hostile) {
    test(`${pattern.slice(0, 12)}… of ${pattern.length} takes less than 5 ms on a name of ${name.length}`, () => {
      const glob = compileGlob(pattern);
      assert.equal(glob.matches(name), false);
      assert.ok(processorMs(() => glob.matches(name)) < 5);
    });
  }
});

/** Processor time, the least of three: the machine may be busy with other tests. */
function processorMs(work: () => void): number {
  const times = [1, 2, 3].map(() => {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  return Math.min(...times);
}

describe('glob against the reference', () => {
  const patternText = fc.string({
    unit: fc.constantFrom(
      '/',
      '/',
      '.',
      'a',
      'b',
      '*',
      '**',
      '?',
      '[',
      ']',
      '!',
      '-',
      '$',
      '😀',
      '[a]',
      '[!a]',
      '/**/',
    ),
    maxLength: 9,
  });
  const nameText = fc.string({
    unit: fc.constantFrom('/', '/', '.', 'a', 'b', '$', '😀', ']', '-', '!'),
    maxLength: 9,
  });

  test('agrees on every name, and on what is refused', () => {
    fc.assert(
      fc.property(patternText, fc.array(nameText, { minLength: 1, maxLength: 12 }), (pattern, names) => {
        const reference = referenceGlob(pattern);
        if (reference === undefined) {
          assert.throws(() => compileGlob(pattern), { code: 'INVALID_ARGUMENT' });
          return;
        }
        const glob = compileGlob(pattern);
        for (const name of names) {
          assert.equal(glob.matches(name), reference(name), `${JSON.stringify(pattern)} on ${JSON.stringify(name)}`);
          if (glob.matches(name)) assert.ok(name.startsWith(glob.literalPrefix));
        }
      }),
      { numRuns: 1500 },
    );
  });

  test('agrees on all short names for all short patterns', () => {
    const names = combinations(['/', '.', 'a'], 5);
    for (const pattern of combinations(['/', '.', 'a', '*', '**', '?'], 4)) {
      const reference = referenceGlob(pattern);
      if (reference === undefined) {
        assert.throws(() => compileGlob(pattern), { code: 'INVALID_ARGUMENT' });
        continue;
      }
      const glob = compileGlob(pattern);
      for (const name of names) {
        if (glob.matches(name) !== reference(name))
          assert.fail(`${JSON.stringify(pattern)} on ${JSON.stringify(name)}: ${glob.matches(name)}`);
      }
    }
  });

  // The states of a long pattern fill several words, between which each step carries.
  test('agrees on long patterns and names', () => {
    const part = fc.constantFrom(
      '?',
      '[a-c]',
      '[!b]',
      '/',
      '.',
      'b',
      'é',
      '😀',
      'a'.repeat(29),
      'ab'.repeat(16),
      '/b'.repeat(15),
    );
    const wild = fc.constantFrom('*', '/**/', '');
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 8 }),
        fc.array(wild, { maxLength: 3 }),
        fc.infiniteStream(fc.nat()),
        (parts, wilds, choices) => {
          const choose = (count: number): number => (choices.next().value ?? 0) % count;
          const units = [...parts];
          for (const each of wilds) units.splice(choose(units.length + 1), 0, each);
          const pattern = units.join('');
          const reference = referenceGlob(pattern);
          if (reference === undefined) return;
          // Names that nearly match: what stands for each unit, or for a moment something else.
          const standIns: Record<string, readonly string[]> = {
            '*': ['', 'ab', 'a'.repeat(40)],
            '/**/': ['/', '/b/', `/${'b/'.repeat(20)}`],
          };
          for (let round = 0; round < 8; round++) {
            const name = units
              .map((unit) => {
                const choicesOf =
                  standIns[unit] ??
                  (unit === '?' || unit.startsWith('[') ? ['a', 'c', 'b', '😀'] : [unit, unit, unit, `${unit}a`]);
                return choicesOf[choose(choicesOf.length)] ?? '';
              })
              .join('');
            assert.equal(compileGlob(pattern).matches(name), reference(name), `${pattern} on ${name}`);
          }
        },
      ),
      { numRuns: 400 },
    );
  });

  test('agrees that a pattern which ends in a slash matches only names that do', () => {
    fc.assert(
      fc.property(patternText, nameText, (pattern, name) => {
        fc.pre(name !== '' && referenceGlob(`${pattern}/`) !== undefined);
        if (compileGlob(`${pattern}/`).matches(name)) assert.ok(name.endsWith('/'), `${pattern}/ on ${name}`);
      }),
    );
  });

  test('agrees on paths with several recursive parts and leading dots', () => {
    const part = fc.constantFrom('**', '**', '*', 'a', '.a', '*.a', '?', '[!b]*', '');
    const component = fc.constantFrom('a', 'b', '.a', 'b.a', '', '.b');
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 7 }),
        fc.array(component, { minLength: 1, maxLength: 7 }),
        (parts, components) => {
          const pattern = parts.join('/');
          const name = components.join('/');
          fc.pre(pattern !== '');
          assert.equal(compileGlob(pattern).matches(name), referenceGlob(pattern)?.(name), `${pattern} on ${name}`);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

function combinations(units: readonly string[], maxLength: number): string[] {
  let longest = [''];
  const all = [''];
  for (let length = 1; length <= maxLength; length++) {
    longest = longest.flatMap((text) => units.map((unit) => text + unit));
    all.push(...longest);
  }
  return all;
}
