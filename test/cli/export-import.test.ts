import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import type { EventJson } from '../../src/wire/index.js';
import { runCli } from '../support/cli.js';
import { FakeLog, FakeNode } from '../support/fake-node.js';

const log = new FakeLog();
const folder = mkdtempSync(join(tmpdir(), 'flotilla-export-'));
let node: FakeNode;

before(async () => {
  node = await new FakeNode(1, log).start();
});

after(async () => {
  await node.kill();
  rmSync(folder, { recursive: true });
});

beforeEach(() => {
  log.batches.length = 0;
  node.onBatch = () => 'append';
  node.confirmed = true;
});

const id = (counter: number, actor = 1): string =>
  `${String(counter).padStart(20, '0')}${String(actor).padStart(5, '0')}`;
const at = (...args: string[]): string[] => ['-H', '127.0.0.1', '-p', String(node.port), ...args];
const line = (event: Record<string, unknown>): string => `${JSON.stringify(event)}\n`;

test('export writes what consume --json prints, under its name only when it is complete', async () => {
  const events =
    line({ namespace: '/a', data: 'one', type: 't', metadata: { k: 'v' } }) +
    line({ namespace: '/b', dataBase64: '//4=' });
  await runCli(at('produce', '--ndjson'), { stdin: events });
  const consumed = await runCli(at('consume', '--json'));
  const file = join(folder, 'all.jsonl');
  const written = await runCli(at('export', '-o', file));
  assert.deepEqual([written.code, written.stdout, written.stderr], [0, '', '']);
  assert.equal(readFileSync(file, 'utf8'), consumed.stdout);
  const filtered = await runCli(at('export', '-n', '/b', '-s', '1.1'));
  assert.equal(filtered.stdout, consumed.stdout.split('\n').slice(1).join('\n'));

  const nowhere = await runCli(at('export', '-o', join(folder, 'missing', 'x')));
  assert.equal(nowhere.code, 1);
  assert.ok(!existsSync(`${file}.part`));
  assert.match(nowhere.stderr, /^error: the file can't be written: ENOENT/);
});

test('import gives new ids, also to parents that came earlier; the rest of an export stays unchanged', async () => {
  await runCli(at('produce', '-n', '/before', '-d', 'x'));
  const file = join(folder, 'in.jsonl');
  const time = '2020-01-01T00:00:00.000Z';
  writeFileSync(
    file,
    line({ id: id(5, 2), namespace: '/a', timestamp: time, data: 'five' }) +
      line({
        id: id(6, 3),
        parentId: id(5, 2),
        namespace: '/b',
        timestamp: time,
        data: 'six',
        contentType: 'text/plain',
      }) +
      '\n' +
      line({ id: id(9, 2), parentId: id(5, 3), namespace: '/a', timestamp: time, data: 'nine' }) +
      line({ id: id(10, 2), parentId: '6.3', namespace: '/a', timestamp: time, dataBase64: '//4=' }) +
      line({ id: id(11, 2), namespace: '/c', timestamp: time, metadata: { k: 'v' } }),
  );
  const dry = await runCli(at('import', '--dry-run', file));
  assert.deepEqual([dry.code, dry.stdout], [0, '5 events can be imported\n']);
  assert.match(dry.stderr, /^warning: 1 events lost their parent/);
  assert.equal(log.texts().length, 1, 'nothing was appended');
  const imported = await runCli(at('import', file));
  assert.deepEqual([imported.code, imported.stdout], [0, 'Imported 5 events\n']);
  assert.match(imported.stderr, /^warning: 1 events lost their parent: it is not among the events before them/);
  const { stdout } = await runCli(at('export', '-s', '1.1'));
  const events: EventJson[] = stdout
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text));
  assert.deepEqual(
    events.map(({ id: newId, parentId, data, dataBase64 }) => [newId, parentId, data ?? dataBase64]),
    [
      [id(2), undefined, 'five'],
      [id(3), id(2), 'six'],
      [id(4), undefined, 'nine'],
      [id(5), id(3), '//4='],
      [id(6), undefined, undefined],
    ],
  );
  assert.equal(events[1]?.contentType, 'text/plain');
  assert.deepEqual(events[4]?.metadata, { k: 'v' });

  const some = await runCli(at('import', '-n', '/b', '--keep-parents'), { stdin: readFileSync(file) });
  assert.deepEqual([some.code, some.stderr, some.stdout], [0, '', 'Imported 1 events\n']);
  const { stdout: last } = await runCli(at('export', '-s', '6.1'));
  assert.deepEqual(JSON.parse(last).parentId, id(5, 2));
});

test('a bad line ends the import: its batch is not imported, and the message names the line', async () => {
  const good = Array.from({ length: 5000 }, (_, number) => line({ namespace: '/g', data: String(number) })).join('');
  for (const [bad, message] of [
    [line({ namespace: '/g', id: '7654' }), /^error: line 5001\.id: /],
    [line({ namespace: '/$x' }), /^error: line 5001\.namespace: /],
  ] as const) {
    log.batches.length = 0;
    const result = await runCli(at('import'), { stdin: Buffer.concat([Buffer.from(good), Buffer.from(bad)]) });
    assert.deepEqual([result.code, result.stdout], [1, '']);
    assert.match(result.stderr, message);
    assert.match(result.stderr, /\n4096 events, up to line 4096, are imported; nothing after that\n$/);
    assert.equal(log.texts().length, 4096);
  }
});

test('a batch with an unknown outcome is sent again, and the import goes on', async () => {
  let calls = 0;
  node.onBatch = () => (++calls === 2 ? { failure: { code: 'OUTCOME_UNKNOWN', message: 'who knows' } } : 'append');
  const stdin = Array.from({ length: 9000 }, (_, number) => line({ namespace: '/g', data: String(number) })).join('');
  const result = await runCli(at('import', '-'), { stdin });
  assert.deepEqual([result.code, result.stdout], [0, 'Imported 9000 events\n']);
  assert.equal(calls, 4);
  assert.equal(log.texts().length, 9000);
});
