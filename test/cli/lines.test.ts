import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { linesOf } from '../../cli/lines.js';
import { FlotillaError } from '../../src/base/index.js';

async function collect(chunks: readonly Uint8Array[], maxBytes = 1000): Promise<string[]> {
  async function* source(): AsyncGenerator<Uint8Array> {
    for (const chunk of chunks) yield await Promise.resolve(chunk);
  }
  const lines: string[] = [];
  for await (const some of linesOf(source(), maxBytes))
    lines.push(...some.map((line) => Buffer.from(line).toString('latin1')));
  return lines;
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');

test('line ends are taken off, empty lines stay, and the last line needs no end', async () => {
  assert.deepEqual(await collect([bytes('a\nb\r\n\r\n\nc')]), ['a', 'b', '', '', 'c']);
  assert.deepEqual(await collect([bytes('a\n')]), ['a']);
  assert.deepEqual(await collect([bytes('\n')]), ['']);
  assert.deepEqual(await collect([]), []);
  assert.deepEqual(await collect([bytes('a\rb\n\xff\xfe\0\n')]), ['a\rb', '\xff\xfe\0']);
});

test('a line end that is cut in two is still one', async () => {
  assert.deepEqual(await collect([bytes('a\r'), bytes('\nb')]), ['a', 'b']);
});

test('however the bytes are cut into chunks, the lines are the same', async () => {
  const text = fc
    .array(fc.constantFrom('a', 'é', '\r', '\n', '\r\n', '\0'), { maxLength: 40 })
    .map((parts) => parts.join(''));
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat(40), { maxLength: 6 }), async (whole, cuts) => {
      const all = bytes(whole);
      const edges = [0, ...cuts.map((cut) => Math.min(cut, all.length)).sort((a, b) => a - b), all.length];
      const chunks = edges.slice(1).map((edge, position) => all.subarray(edges[position], edge));
      assert.deepEqual(await collect(chunks), await collect([all]));
    }),
  );
});

test('a line without end is refused before it fills the memory', async () => {
  let served = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) {
      served++;
      yield await Promise.resolve(new Uint8Array(100));
    }
  }
  await assert.rejects(
    async () => {
      for await (const lines of linesOf(endless(), 1000)) assert.deepEqual(lines, []);
    },
    (error) => error instanceof FlotillaError && error.code === 'MESSAGE_TOO_LARGE' && /line 1 /.test(error.message),
  );
  assert.ok(served <= 12);
});
