/** What a node does with data that it must not vote on: as one of several, and alone. */
import assert from 'node:assert/strict';
import { copyFile, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { actorId, FlotillaError, type Member } from '../../../src/base/index.js';
import { KnownMembers } from '../../../src/storage/directory/known-members.js';
import { type NodeDirectory, openNodeDirectory } from '../../../src/storage/index.js';
import { nodeDisk } from '../../../src/storage/level/node-disk.js';
import { append, CLUSTER, groupPath, membersOf, newNode, openNode, RecordChain, scratchDirectory } from '../fixture.js';

const BOOT = { bootCounter: 4, bootId: '0123456789abcdef' };
const others = membersOf(2, 3);

function open(dataDir: string, hasPeers = false): Promise<NodeDirectory> {
  return openNodeDirectory({ dataDir, actor: actorId(1), hasPeers });
}

/** A stopped member of a cluster of three; it has seen the others. */
async function memberOfThree(t: TestContext): Promise<{ dir: string; path: string; instance: string; secret: string }> {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  await node.storage.persist(append(new RecordChain().addMany(3)));
  const { identity } = node.directory;
  const self: Member = { actor: actorId(1), instance: identity.instance, address: '127.0.0.1:3001' };
  await node.directory.follow(CLUSTER, self, { members: [self, ...others], vouchers: [] });
  await node.directory.noteStamped();
  await node.close();
  return { dir, path: join(dir, 'node-1'), instance: identity.instance, secret: identity.secret };
}

test('beginning anew sets the groups aside, and makes the node its own successor', async (t) => {
  const { dir, path, instance, secret } = await memberOfThree(t);
  const directory = await open(dir);
  const aside = await directory.beginAnew(new FlotillaError('DATA_LOSS', 'the marker is gone'));
  assert.equal(aside, join(path, 'damaged-1'));
  const { identity } = directory;
  assert.notEqual(identity.instance, instance);
  assert.equal(identity.clusterId, undefined);
  assert.deepEqual(identity.predecessor, {
    clusterId: CLUSTER,
    instance,
    secret,
    members: others,
    reason: 'the marker is gone',
  });
  assert.deepEqual(await readdir(join(path, 'groups')), []);
  await directory.close();
  const again = await open(dir);
  assert.equal(again.identity.instance, identity.instance);
  assert.deepEqual(again.identity.predecessor, identity.predecessor);
  await again.close();
});

test('beginning anew keeps only the latest damaged data', async (t) => {
  const { dir, path } = await memberOfThree(t);
  const directory = await open(dir);
  await directory.beginAnew(new FlotillaError('DATA_LOSS', 'once'));
  await directory.close();
  const node = await newNode(t, dir);
  assert.equal(node.directory.identity.predecessor, undefined, 'it has joined');
  const self = { actor: actorId(1), instance: node.directory.identity.instance, address: '127.0.0.1:3001' };
  await node.directory.follow(CLUSTER, self, { members: [self, ...others], vouchers: [] });
  await node.close();
  const again = await open(dir);
  await again.beginAnew(new FlotillaError('DATA_LOSS', 'twice'));
  await again.close();
  assert.deepEqual(
    (await readdir(path)).filter((name) => name.startsWith('damaged-')),
    ['damaged-2'],
  );
});

test('a node without peers does not begin anew: it changes nothing, and names the tools', async (t) => {
  const dir = await scratchDirectory(t);
  const node = await newNode(t, dir);
  const { directory } = node;
  const self = { actor: actorId(1), instance: directory.identity.instance, address: '127.0.0.1:3001' };
  await directory.follow(CLUSTER, self, { members: [self], vouchers: [] });
  const before = directory.identity;
  await assert.rejects(directory.beginAnew(new FlotillaError('DATA_LOSS', 'record 7 is missing')), {
    code: 'DATA_LOSS',
    message: /record 7 is missing.*flotilla verify.*flotilla restore.*operating\.md/,
  });
  assert.deepEqual(directory.identity, before);
});

test('a node begins anew without identity and groups, where it knows of other members', async (t) => {
  const damages: Readonly<Record<string, (path: string) => Promise<void>>> = {
    'identity removed': (path) => rm(join(path, 'identity')),
    'identity damaged': (path) => writeFile(join(path, 'identity'), 'x'),
    'groups removed': (path) => rm(join(path, 'groups'), { recursive: true }),
    'group removed': (path) => rm(join(path, 'groups', '1'), { recursive: true }),
  };
  for (const [name, damage] of Object.entries(damages)) {
    const { dir, path, instance, secret } = await memberOfThree(t);
    await damage(path);
    const { identity, close } = await opened(dir);
    assert.equal(identity.predecessor?.instance, instance, name);
    assert.equal(identity.predecessor?.secret, secret, `${name}: it can prove who it was`);
    assert.equal(identity.predecessor?.clusterId, CLUSTER, name);
    await close();
  }
});

async function opened(dir: string): Promise<{ identity: NodeDirectory['identity']; close: () => Promise<void> }> {
  const directory = await open(dir);
  return { identity: directory.identity, close: () => directory.close() };
}

test('a node does not begin anew in the folder of another actor', async (t) => {
  const { dir, path } = await memberOfThree(t);
  await rename(path, join(dir, 'node-2'));
  await rm(join(dir, 'node-2', 'identity'));
  await assert.rejects(openNodeDirectory({ dataDir: dir, actor: actorId(2), hasPeers: true }), {
    code: 'FOREIGN_NODE',
  });
});

test('a damaged lock is made anew, and held as ever', async (t) => {
  const { dir, path } = await memberOfThree(t);
  for (const kind of [/^CURRENT$/, /^MANIFEST/, /\.log$/]) {
    const name = (await readdir(join(path, 'lock'))).find((one) => kind.test(one));
    assert.ok(name !== undefined, String(kind));
    const file = join(path, 'lock', name);
    await writeFile(file, Buffer.alloc((await readFile(file)).length));
    const directory = await open(dir);
    await assert.rejects(open(dir), { code: 'INVALID_ARGUMENT', message: /already running/ }, name);
    await directory.close();
  }
});

test('openStorage refuses an older copy of the hard state', async (t) => {
  const { dir } = await memberOfThree(t);
  const copy = join(await scratchDirectory(t), 'hard-state');
  const hardState = join(groupPath(dir), 'hard-state');
  await copyFile(hardState, copy);
  const node = await openNode(t, dir);
  await node.directory.noteStamped();
  await node.close();
  await copyFile(copy, hardState);
  await assert.rejects(openNode(t, dir), { code: 'DATA_LOSS', message: /hard-state is an older copy/ });
});

test('starts that were seen outlive the process, and a damaged file counts as none', async (t) => {
  const { path, instance, secret } = await memberOfThree(t);
  const [two, three] = others;
  assert.ok(two !== undefined && three !== undefined);
  const known = await KnownMembers.open(nodeDisk, path);
  assert.equal(known.lastBoot(two.instance)?.bootCounter, 0);
  await known.saw(two.instance, BOOT);
  const self = { actor: actorId(1), instance, secret, address: '127.0.0.1:3001' };
  await known.saw('f'.repeat(32), { ...BOOT, bootCounter: 9 });
  const newcomer = { actor: actorId(4), instance: 'f'.repeat(32), address: '127.0.0.1:3004' };
  await known.follow(CLUSTER, self, { members: [self, ...others, newcomer], vouchers: [] });
  const again = await KnownMembers.open(nodeDisk, path);
  assert.deepEqual(
    [two, three, newcomer].map((member) => again.lastBoot(member.instance)?.bootCounter),
    [4, 0, 9],
  );
  await writeFile(join(path, 'known-members'), 'nonsense');
  assert.equal((await KnownMembers.open(nodeDisk, path)).cluster, undefined);
});
