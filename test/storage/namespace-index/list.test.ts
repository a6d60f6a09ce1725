import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { counter, type LogIndex, logIndex } from '../../../src/base/index.js';
import { compileGlob, formatEventId, type Glob, isSystemNamespace } from '../../../src/event/index.js';
import { listNamespaces, type NamespaceCount } from '../../../src/stream/index.js';
import { RecordTally } from '../../../src/stream/namespace-tally.js';
import { EMPTY_LOG_TAIL, type LogRecord, tailAfter } from '../../../src/wire/index.js';
import { append, GROUP, newNode, scratchDirectory } from '../fixture.js';
import { anyRecords, eventsIn, reseal } from './fixture.js';

const lineOf = ({ name, count, first, last }: NamespaceCount): string =>
  `${Buffer.from(name).toString()} ${count} ${formatEventId(first)} ${formatEventId(last)}`;

/** What stands in the records, by namespace. */
function expected(records: readonly LogRecord[], glob: Glob, after = '', afterCounter = 0): string[] {
  const events = eventsIn(records).filter(({ id }) => id.counter > afterCounter);
  const names = [...new Set(events.map(({ namespace }) => namespace))]
    .filter((name) => (glob.everything ? !isSystemNamespace(name) : glob.matches(name)))
    .map((name) => Buffer.from(name))
    .filter((name) => Buffer.compare(name, Buffer.from(after)) > 0)
    .sort(Buffer.compare);
  return names.map((name) => {
    const ids = events.filter(({ namespace }) => namespace === name.toString()).map(({ id }) => id);
    const [first, last] = [ids[0], ids.at(-1)];
    assert.ok(first !== undefined && last !== undefined);
    return lineOf({ name, count: ids.length, first, last });
  });
}

test('listNamespaces gives what counting every event gives', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyRecords, { minLength: 2, maxLength: 3 }), fc.nat(), async (parts, seed) => {
      const records = reseal(parts.flat());
      const node = await newNode(t, await scratchDirectory(t), 8 * 1024);
      for (let at = 0; at < records.length; at += 5) await node.storage.persist(append(records.slice(at, at + 5)));
      const stored = node.storage.group(GROUP);
      const commitIndex = logIndex(1 + (seed % records.length));
      stored.noteCommitted(commitIndex);
      const begun = seed % 3 === 0 ? Math.floor(commitIndex / 2) : 0;
      const beginRecord = records[begun - 1];
      const begin = beginRecord === undefined ? EMPTY_LOG_TAIL : tailAfter(beginRecord);
      const log = {
        state: { first: { index: begin.index, firstCounter: begin.nextCounter } },
        group: {
          commitIndex,
          read: (from: LogIndex, to: LogIndex, bytes: number) => stored.read(from, to, bytes),
        },
      };
      for (const [pattern, after] of [
        ['/**/*', ''],
        ['/n/*', ''],
        ['/n/1*', '/n/12'],
        ['/$sys/*', ''],
        ['/a', '/b'],
      ] as const) {
        const glob = compileGlob(pattern);
        const found: string[] = [];
        for await (const row of listNamespaces(log, stored, { glob, after })) found.push(lineOf(row));
        assert.deepEqual(found, expected(records.slice(begun, commitIndex), glob, after), pattern);
      }
      await node.close();
    }),
    { numRuns: 8 },
  );
});

test('listNamespaces of a stream that begins within a record leaves out what stands before', async () => {
  await fc.assert(
    fc.asyncProperty(anyRecords, fc.nat(), async (records, seed) => {
      const glob = compileGlob('/**/*');
      const commitIndex = logIndex(records.length);
      const read = (from: number, to: number): LogRecord[] => records.slice(from - 1, to);
      // As the index of a segment: it counts all that stands in its records.
      const all = { glob, after: Buffer.alloc(0), afterCounter: counter(0) };
      const rows = new RecordTally([{ from: logIndex(1), to: commitIndex }], read, all);
      const stored = {
        namespaces: (from: number) => Promise.resolve(from === 1 ? { rows, through: commitIndex } : undefined),
      };
      const afterCounter = seed % ((records[0]?.eventCount ?? 0) + 1);
      const log = {
        state: { first: { index: logIndex(0), firstCounter: counter(afterCounter + 1) } },
        group: { commitIndex, read },
      };
      const found: string[] = [];
      for await (const row of listNamespaces(log, stored, { glob, after: '' })) found.push(lineOf(row));
      assert.deepEqual(found, expected(records, glob, '', afterCounter));
    }),
    { numRuns: 50 },
  );
});

test('the record tally counts more namespaces than it holds at a time', async () => {
  await fc.assert(
    fc.asyncProperty(
      anyRecords,
      fc.integer({ min: 1, max: 10 }),
      fc.nat({ max: 30 }),
      async (records, most, afterCounter) => {
        const glob = compileGlob('/**/*');
        const range = { from: logIndex(1), to: logIndex(records.length) };
        const read = (from: number, to: number): LogRecord[] => records.slice(from - 1, to);
        const tally = new RecordTally([range], read, {
          glob,
          after: Buffer.alloc(0),
          afterCounter: counter(afterCounter),
          most,
        });
        const found: string[] = [];
        for (let rows = await tally.next(); rows.length > 0; rows = await tally.next()) {
          assert.ok(rows.length <= most);
          found.push(...rows.map(lineOf));
        }
        assert.deepEqual(found, expected(records, glob, '', afterCounter));
      },
    ),
    { numRuns: 50 },
  );
});
