import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '../../src/base/index.js';
import { append, GROUP, newNode, openNode, RecordChain, readAll, scratchDirectory } from './fixture.js';

const WRITER = fileURLToPath(new URL('./writer.ts', import.meta.url));

/** Runs the writer until `enough` lines came, kills it and returns them all. */
async function runWriter(t: TestContext, dir: string, options: { seed: number; killAfter: number }): Promise<string[]> {
  const child = spawn(process.execPath, ['--import', 'tsx', WRITER, dir, String(options.seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (lines.length === options.killAfter) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return lines;
}

/** Applies what the writer said to what must be there. A last line may be cut by the kill. */
function applyTo(acknowledged: Map<number, number>, lines: readonly string[]): void {
  for (const line of lines) {
    const [word, first, second] = line.split(' ');
    if (word === 'a' && second !== undefined && lines.at(-1) !== line) acknowledged.set(Number(first), Number(second));
    if (word === 't') for (const index of acknowledged.keys()) if (index > Number(first)) acknowledged.delete(index);
  }
}

test('killed ten times, a node misses nothing that it has acknowledged', async (t) => {
  const dir = await scratchDirectory(t);
  await (await newNode(t, dir)).close();
  const acknowledged = new Map<number, number>();
  const random = seededRandom(20);
  for (let round = 1; round <= 10; round++) {
    applyTo(acknowledged, await runWriter(t, dir, { seed: round, killAfter: 20 + Math.floor(random() * 400) }));
    const node = await openNode(t, dir, 16 * 1024);
    const found = new Map((await readAll(node.storage)).map(({ index, checksum }) => [Number(index), checksum]));
    for (const [index, checksum] of acknowledged)
      assert.equal(found.get(index), checksum, `record ${index} in round ${round}`);
    // What is there beyond was written and not yet acknowledged: the next life builds on it.
    for (const [index, checksum] of found) acknowledged.set(index, checksum);
    await node.close();
  }
  assert.ok(acknowledged.size > 500, `${acknowledged.size} records`);
});

test('a full disk fails once, and keeps what was acknowledged', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, 1 << 20);
  await node.storage.persist(append(new RecordChain().addMany(1)));
  await node.close();
  // A limit on the size of files stands in for the full disk: LevelDB's write fails in the middle.
  const child = spawn(
    'bash',
    [
      '-c',
      'ulimit -f 200; trap "" XFSZ; exec "$0" "$@"',
      process.execPath,
      '--import',
      'tsx',
      WRITER,
      dir,
      '5',
      'no',
      String(1 << 20),
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  t.after(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) lines.push(line);
  const last = lines.at(-1) ?? '';
  assert.match(last, /^f 1 FlotillaError: a write failed/, 'onFailure came once');
  const again = await openNode(t, dir, 1 << 20);
  const found = new Map((await readAll(again.storage)).map(({ index, checksum }) => [Number(index), checksum]));
  const acknowledged = new Map<number, number>();
  applyTo(acknowledged, lines);
  assert.ok(acknowledged.size > 20);
  for (const [index, checksum] of acknowledged) assert.equal(found.get(index), checksum);
  assert.equal(again.storage.group(GROUP).recovered.tail.index, found.size);
});
