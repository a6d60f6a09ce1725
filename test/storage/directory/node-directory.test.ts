import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { actorId } from '../../../src/base/index.js';
import { type NodeDirectory, openNodeDirectory } from '../../../src/storage/index.js';
import {
  append,
  GROUP,
  membershipOf,
  membersOf,
  newNode,
  openNode,
  RecordChain,
  scratchDirectory,
} from '../fixture.js';

function open(dataDir: string, actor = 1, hasPeers = false): Promise<NodeDirectory> {
  return openNodeDirectory({ dataDir, actor: actorId(actor), hasPeers });
}

/** Runs one life of a node that has formed a cluster. */
async function formed(t: TestContext): Promise<string> {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  await node.storage.persist(append(new RecordChain().addMany(3)));
  await node.close();
  return dir;
}

async function holdInChild(t: TestContext, dataDir: string): Promise<ReturnType<typeof spawn>> {
  const script = fileURLToPath(new URL('./lock-holder.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', script, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  assert.ok(child.stdout);
  const lines = createInterface({ input: child.stdout });
  const [line] = await once(lines, 'line');
  assert.equal(line, 'open');
  return child;
}

test('the first start makes the directory, for its user alone', async (t) => {
  const dir = join(await scratchDirectory(t), 'a', 'b');
  const directory = await open(dir);
  const { actor, instance, bootCounter, clusterId, promised } = directory.identity;
  assert.deepEqual(
    { actor, bootCounter, clusterId, promised },
    { actor: 1, bootCounter: 1, clusterId: undefined, promised: undefined },
  );
  assert.match(instance, /^[0-9a-f]{32}$/);
  assert.equal((await stat(join(dir, 'node-1'))).mode & 0o777, 0o700);
  await directory.close();
});

test('nodes may make the shared directory at the same moment', async (t) => {
  for (let round = 0; round < 20; round++) {
    const dir = join(await scratchDirectory(t), 'a', 'b');
    const directories = await Promise.all([1, 2, 3, 4].map((actor) => open(dir, actor, true)));
    for (const directory of directories) await directory.close();
  }
});

test('each start is counted, and the rest is kept', async (t) => {
  const dir = await scratchDirectory(t);
  const first = await open(dir);
  const promised = membersOf(1, 2, 3);
  await first.promise(promised);
  await first.close();
  const second = await open(dir);
  assert.equal(second.identity.bootCounter, 2);
  assert.equal(second.identity.instance, first.identity.instance);
  assert.deepEqual(second.identity.promised, promised);
  await second.close();
});

test('a promise is never replaced by another set', async (t) => {
  const directory = await open(await scratchDirectory(t));
  t.after(() => directory.close());
  await directory.promise(membersOf(1, 2));
  await directory.promise(membersOf(2, 1));
  await assert.rejects(directory.promise(membersOf(1, 2, 3)), /never replaced/);
  await assert.rejects(
    directory.promise(membersOf(1, 2).map((member) => ({ ...member, instance: 'f'.repeat(32) }))),
    /never replaced/,
  );
});

test('joining a cluster comes after making the groups', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await openNode(t, dir);
  await assert.rejects(node.directory.joinCluster('a'.repeat(32)), /groups are made before/);
  await node.storage.createGroup({
    group: GROUP,
    incarnation: 'b'.repeat(32),
    machine: 'stream',
    membership: membershipOf(1),
  });
  await node.directory.joinCluster('a'.repeat(32));
  await node.directory.joinCluster('a'.repeat(32));
  await assert.rejects(node.directory.joinCluster('b'.repeat(32)), /was to join/);
  await node.close();
  assert.equal((await openNode(t, dir)).directory.identity.clusterId, 'a'.repeat(32));
});

test('opening a directory twice in one process is refused', async (t) => {
  const dir = await scratchDirectory(t);
  const directory = await open(dir);
  await assert.rejects(open(dir), { code: 'INVALID_ARGUMENT', message: /actor 1 is already running on .*/ });
  const other = await open(dir, 2, true);
  await other.close();
  await directory.close();
  await (await open(dir)).close();
});

test('a directory is refused to a second process until the first is killed', async (t) => {
  const dir = await scratchDirectory(t);
  const child = await holdInChild(t, dir);
  await assert.rejects(open(dir), { code: 'INVALID_ARGUMENT', message: /actor 1 is already running on .*/ });
  child.kill('SIGKILL');
  await once(child, 'exit');
  const directory = await open(dir);
  assert.equal(directory.identity.bootCounter, 2, 'the refused start was not counted');
  await directory.close();
});

test("a directory that can't be written is refused", async (t) => {
  const dir = await scratchDirectory(t);
  await writeFile(join(dir, 'file'), '');
  await assert.rejects(open(join(dir, 'file')), { code: 'INVALID_ARGUMENT' });
  await assert.rejects(open(join(dir, 'file', 'below')), { code: 'INVALID_ARGUMENT' });
  await assert.rejects(open('/proc/flotilla'), { code: 'INVALID_ARGUMENT', message: /can't be written: .*--data-dir/ });
});

test('the folder of another actor is refused', async (t) => {
  const dir = await formed(t);
  await cp(join(dir, 'node-1'), join(dir, 'node-2'), { recursive: true });
  await assert.rejects(open(dir, 2), { code: 'FOREIGN_NODE', message: /folder of actor 1, not of actor 2/ });
});

test('a damaged identity is refused', async (t) => {
  const dir = await formed(t);
  const path = join(dir, 'node-1', 'identity');
  const sound = await readFile(path);
  for (let offset = 0; offset < sound.length - 1; offset += 5) {
    const damaged = Buffer.from(sound);
    damaged[offset] = (damaged[offset] ?? 0) ^ 1;
    await writeFile(path, damaged);
    await assert.rejects(open(dir), { code: 'FOREIGN_NODE', message: /identity is damaged/ }, `byte ${offset}`);
  }
  await writeFile(path, '');
  await assert.rejects(open(dir), { code: 'FOREIGN_NODE' });
  await writeFile(path, sound);
  await (await open(dir)).close();
});

test('an identity of a newer format is refused', async (t) => {
  const dir = await formed(t);
  const line = '{"format":3,"actor":1}';
  await writeFile(join(dir, 'node-1', 'identity'), `${line}\n${crc32(line).toString(16).padStart(8, '0')}\n`);
  await assert.rejects(open(dir), { code: 'FOREIGN_NODE', message: /has format 3; this version reads format 1/ });
});

test('an identity without its data, and data without its identity, are refused', async (t) => {
  const dir = await formed(t);
  const node = join(dir, 'node-1');
  await rename(join(node, 'groups'), join(node, 'elsewhere'));
  await assert.rejects(open(dir), { code: 'FOREIGN_NODE', message: /its data is missing/ });
  await rename(join(node, 'elsewhere'), join(node, 'groups'));
  await rm(join(node, 'identity'));
  await assert.rejects(open(dir), { code: 'FOREIGN_NODE', message: /identity file is missing/ });
});

test('openStorage refuses records under an identity without cluster', async (t) => {
  const dir = await formed(t);
  const other = await scratchDirectory(t);
  await (await open(other)).close();
  await cp(join(other, 'node-1', 'identity'), join(dir, 'node-1', 'identity'));
  await assert.rejects(openNode(t, dir), { code: 'FOREIGN_NODE', message: /belongs to no cluster/ });
});

test('a node without peers is refused where only other actors are', async (t) => {
  const dir = await scratchDirectory(t);
  await (await open(dir, 3, true)).close();
  await (await open(dir, 2, true)).close();
  await assert.rejects(open(dir, 1), {
    code: 'INVALID_ARGUMENT',
    message: /holds the data of actors 2, 3 and none of actor 1: .*--actor-id 2/,
  });
  await assert.rejects(stat(join(dir, 'node-1')), 'nothing was made');
  await (await open(dir, 2)).close();
  await (await open(dir, 1, true)).close();
});

test('a folder that other users may write is fine', async (t) => {
  const dir = await formed(t);
  await chmod(join(dir, 'node-1'), 0o775);
  await (await open(dir)).close();
});

test('a start after a crash before the identity was written makes it anew', async (t) => {
  const dir = await scratchDirectory(t);
  await mkdir(join(dir, 'node-1', 'lock'), { recursive: true });
  const directory = await open(dir);
  assert.equal(directory.identity.bootCounter, 1);
  await directory.close();
});
