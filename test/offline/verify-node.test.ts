import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { actorId, logIndex } from '../../src/base/index.js';
import { readHeldLog } from '../../src/offline/held-log.js';
import { inspectNode } from '../../src/offline/inspect-node.js';
import { type Verification, verifyNode } from '../../src/offline/verify-node.js';
import {
  append,
  checksums,
  copyOf,
  GROUP,
  groupPath,
  newNode,
  openNode,
  RecordChain,
  readAll,
  scratchDirectory,
  segmentsPath,
} from '../storage/fixture.js';

const SEGMENT_BYTES = 8 * 1024;
const ACTOR = actorId(1);

/** A stopped node whose log has several segments, some of which were read and so are tables. */
async function written(t: TestContext): Promise<{ dir: string; chain: RecordChain }> {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, SEGMENT_BYTES);
  const chain = new RecordChain();
  for (let write = 0; write < 30; write++)
    await node.storage.persist(append(chain.addMany(2, { term: 1 + Math.floor(write / 5), bytes: 400 })));
  node.storage.group(GROUP).noteCommitted(chain.tail.index);
  await node.close();
  // A start makes the checkpoints that are missing of what is committed.
  const again = await openNode(t, dir, SEGMENT_BYTES);
  await readAll(again.storage);
  await again.storage.persist(append(chain.addMany(3, { bytes: 300 })));
  await again.close();
  return { dir, chain };
}

function filesIn(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => join(path, name))
    .filter((file) => statSync(file).isFile())
    .sort();
}

/** Digest of every name, time and byte below a path. */
function treeOf(path: string): string {
  const hash = createHash('sha256');
  for (const file of filesIn(path)) hash.update(`${file} ${statSync(file).mtimeMs}\n`).update(readFileSync(file));
  return hash.digest('hex');
}

const verify = async (dir: string): Promise<Verification> => await verifyNode({ dataDir: dir, actor: ACTOR });

test('a sound node is said to be so, and not a byte of it changes', async (t) => {
  const { dir, chain } = await written(t);
  const before = treeOf(dir);
  const { damages, notes, groups } = await verify(dir);
  assert.deepEqual(damages, []);
  assert.deepEqual(notes, []);
  assert.equal(groups[0]?.records, chain.records.length);
  assert.ok((groups[0]?.segments ?? 0) > 2);
  const { groups: inspected } = await inspectNode({ dataDir: dir, actor: ACTOR });
  const segments = inspected[0]?.segments.filter(({ state }) => state !== 'ahead') ?? [];
  assert.deepEqual([segments[0]?.records?.from, segments.at(-1)?.records?.to], [1, chain.tail.index]);
  assert.deepEqual([segments[0]?.state, segments.at(-1)?.state], ['sealed', 'open']);
  assert.deepEqual(
    segments.map(({ checkpoint }) => checkpoint),
    segments.map(({ records }) => {
      const before = chain.records[(records?.from ?? 0) - 2];
      return before && { index: before.index, term: before.term, sound: true };
    }),
  );
  const read: string[] = [];
  await readHeldLog(
    { dataDir: dir, actor: ACTOR, group: GROUP },
    async () => undefined,
    async ({ records }) => read.push(...checksums(records)) > 0,
  );
  assert.deepEqual(read, checksums(chain.records));
  assert.equal(treeOf(dir), before);
});

test('inspect names a checkpoint that is damaged, and one that the log can not begin without', async (t) => {
  const { dir } = await written(t);
  const [, second = '', third = ''] = readdirSync(segmentsPath(dir)).sort();
  const file = join(segmentsPath(dir), second, 'checkpoint');
  writeFileSync(file, `${readFileSync(file, 'utf8')} `);
  rmSync(join(segmentsPath(dir), third, 'checkpoint'));
  const checkpoints = async () =>
    (await inspectNode({ dataDir: dir, actor: ACTOR })).groups[0]?.segments.map(({ checkpoint }) => checkpoint) ?? [];
  const [before, damaged, missing] = await checkpoints();
  assert.deepEqual([before, damaged?.sound, missing], [undefined, false, undefined]);
  assert.match(damaged?.why ?? '', /damaged: its checksum/);
  const node = await openNode(t, dir, SEGMENT_BYTES);
  const cutThrough = node.storage.group(GROUP).cutPoint(logIndex(25));
  await node.storage.persist([{ group: GROUP, records: [], cutThrough }]);
  await node.close();
  const [oldest = ''] = readdirSync(segmentsPath(dir)).sort();
  rmSync(join(segmentsPath(dir), oldest, 'checkpoint'));
  const [first] = await checkpoints();
  assert.deepEqual([first?.index, first?.sound], [cutThrough, false]);
  assert.match(first?.why ?? '', /missing/);
});

test('a node that runs is refused, with the way over the network', async (t) => {
  const { dir } = await written(t);
  // In another process: a kernel lock is a process's, and this one may take it twice.
  const script = fileURLToPath(new URL('../storage/directory/lock-holder.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await assert.rejects(verify(dir), { code: 'INVALID_ARGUMENT', message: /running.*dump -H/ });
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.deepEqual((await verify(dir)).damages, []);
});

test('what holds data is named when a byte of it is flipped, or it is cut or removed', async (t) => {
  const { dir } = await written(t);
  const relevant = (name: string): boolean =>
    /\/(identity|hard-state|marker|header|footer|checkpoint)$|\.(ldb|log)$/.test(name) && !name.includes('/lock/');
  const names = filesIn(dir).filter((file) => relevant(file) && statSync(file).size > 0);
  const kinds = new Set(names.map((file) => file.replace(/^.*[/.]/, '')));
  assert.deepEqual([...kinds].sort(), [
    'checkpoint',
    'footer',
    'hard-state',
    'header',
    'identity',
    'ldb',
    'log',
    'marker',
  ]);
  for (const name of names) {
    // A checkpoint that is missing may not have been due yet.
    for (const fault of name.endsWith('checkpoint')
      ? (['flip', 'cut'] as const)
      : (['flip', 'cut', 'remove'] as const)) {
      const copy = await copyOf(t, dir);
      const file = name.replace(dir, copy);
      const content = readFileSync(file);
      // In the middle of what counts: two-slot files are mostly empty, and the second half of a table is its index.
      const offset = name.endsWith('marker') || name.endsWith('hard-state') ? 20 : Math.floor(content.length / 3);
      if (fault === 'flip') writeFileSync(file, content.with(offset, (content[offset] ?? 0) ^ 1));
      else if (fault === 'cut') truncateSync(file, offset);
      else rmSync(file);
      const { damages } = await verify(copy);
      const where = file.replace(/\/[^/]*$/, '');
      assert.ok(damages.length > 0, `${fault} ${name}`);
      assert.ok(
        damages.some((damage) => damage.file.startsWith(where) || where.startsWith(damage.file)),
        `${fault} ${name}: ${JSON.stringify(damages)}`,
      );
      assert.ok(
        damages.every((damage) => !/flotilla-(?!storage)/.test(damage.what)),
        'the place where it was opened is nobody’s business',
      );
    }
  }
});

test('damage in the middle is named with its records, and what stands behind it is read even so', async (t) => {
  const { dir, chain } = await written(t);
  const [first = '', second = ''] = readdirSync(segmentsPath(dir)).sort();
  for (const segment of [first, second]) {
    const file = filesIn(join(segmentsPath(dir), segment)).find((name) => name.endsWith('.ldb')) ?? '';
    const content = readFileSync(file);
    writeFileSync(file, content.with(1000, (content[1000] ?? 0) ^ 1));
  }
  const { damages, groups } = await verify(dir);
  assert.equal(damages.length, 2);
  assert.deepEqual(
    damages.map(({ what, remedy }) => [what, remedy]),
    [
      ['damaged', 'refetch'],
      ['damaged', 'refetch'],
    ],
  );
  // The records of each that share a block of 4 KiB with the damaged byte, which is one of record 3.
  const { from, to } = damages[0]?.records ?? { from: 0, to: 0 };
  assert.ok(from <= 3 && 3 <= to, `${from}..${to}`);
  const lost = damages.map(({ records }) => (records === undefined ? 0 : records.to - records.from + 1));
  assert.ok(
    lost.every((count) => count > 0 && count * 400 <= 4096 + 400),
    `${lost} records damaged`,
  );
  assert.equal(groups[0]?.records, chain.records.length - (lost[0] ?? 0) - (lost[1] ?? 0));
});

test('a sealed segment whose database can not be opened is fetched again, and no reason to begin anew', async (t) => {
  const { dir } = await written(t);
  const [first = ''] = readdirSync(segmentsPath(dir)).sort();
  rmSync(join(segmentsPath(dir), first, 'db', 'CURRENT'));
  const { damages } = await verify(dir);
  assert.ok(damages.length > 0);
  assert.deepEqual([...new Set(damages.map(({ remedy }) => remedy))], ['refetch']);
});

test('a log that was rolled back behind its marker, and a hard state behind the log, are named', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir, 1024 * 1024);
  const chain = new RecordChain();
  await node.storage.persist(append(chain.addMany(5)));
  await node.close();
  const old = await copyOf(t, dir);
  const again = await openNode(t, dir, 1024 * 1024);
  await again.storage.persist(append(chain.addMany(5, { term: 4 })));
  await again.close();
  const group = join('node-1', 'groups', '1');
  for (const name of ['marker', 'hard-state']) {
    const mixed = await copyOf(t, old);
    writeFileSync(join(mixed, group, name), readFileSync(join(dir, group, name)));
    const { damages } = await verify(mixed);
    if (name === 'marker') assert.match(damages[0]?.what ?? '', /missing|ends with record 5/);
    else assert.deepEqual(damages, [], 'a later term than the log has harms nothing');
  }
  writeFileSync(join(dir, group, 'hard-state'), readFileSync(join(old, group, 'hard-state')));
  assert.match((await verify(dir)).damages.at(-1)?.what ?? '', /older than the log's 4/);
});

test('a group that was put back as it once was is named, though everything in it fits together', async (t) => {
  const { dir, chain } = await written(t);
  const old = await copyOf(t, dir);
  const node = await openNode(t, dir, SEGMENT_BYTES);
  await node.directory.noteStamped();
  await node.storage.persist(append(chain.addMany(3)));
  await node.close();
  rmSync(groupPath(dir), { recursive: true });
  cpSync(groupPath(old), groupPath(dir), { recursive: true });
  const { damages } = await verify(dir);
  assert.deepEqual(
    damages.map(({ file, remedy }) => [file, remedy]),
    [[join(groupPath(dir), 'hard-state'), 'replace']],
  );
  assert.match(damages[0]?.what ?? '', /^an older copy: it was written before start \d+ of this node/);
  const reading = readHeldLog(
    { dataDir: dir, actor: ACTOR, group: GROUP },
    async () => undefined,
    async () => true,
  );
  await assert.rejects(reading, { code: 'DATA_LOSS', message: /hard-state is an older copy/ });
});
