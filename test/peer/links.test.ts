import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { AssertionFailure, FlotillaError, LIMITS, logIndex, type Member, term } from '../../src/base/index.js';
import type { Logger } from '../../src/group/index.js';
import {
  CLUSTER,
  GROUP,
  heartbeat,
  linked,
  makeAppend,
  makeMembers,
  newInstance,
  pair,
  silentLogger,
  startNode,
  type TestNode,
  type TestNodeOptions,
  until,
} from './peer-fixture.js';

const isOpen = (node: TestNode, peer: Member): boolean => node.links.states().get(peer.actor) === 'open';

test("messages keep their order, and answers travel on the other node's own link", async (context) => {
  const { a, b, one, two } = await pair(context);
  for (let round = 1; round <= 500; round++) assert.ok(a.links.send(two.actor, GROUP, heartbeat(round), []));
  // The append that found the link open travels on the other connection, and may arrive at any time.
  const rounds = (): number[] =>
    b.received.flatMap(({ message }) => (message.type === 'heartbeat' ? [message.round] : []));
  await until(() => rounds().length >= 500, 'everything has arrived');
  assert.deepEqual(
    rounds(),
    Array.from({ length: 500 }, (_, index) => index + 1),
  );
  assert.ok(
    b.links.send(one.actor, GROUP, { type: 'heartbeat-result', term: term(1), round: 500, quiesced: false }, []),
  );
  await until(() => a.received.some(({ message }) => message.type === 'heartbeat-result'), 'the answer has arrived');
});

test('appends arrive with their records verified', async (context) => {
  const { a, b, two } = await pair(context);
  const { message, records } = makeAppend(50, 1000);
  assert.ok(a.links.send(two.actor, GROUP, message, records));
  // The probes that found the link open were appends too, without records.
  const find = () => b.received.find(({ records: carried }) => carried.length > 0);
  await until(() => find() !== undefined, 'the append has arrived');
  const arrived = find();
  assert.deepEqual(arrived?.message, message);
  assert.deepEqual(
    arrived?.records.map(({ checksum }) => checksum),
    records.map(({ checksum }) => checksum),
  );
});

test('a piece of a snapshot travels with the appends, whatever its size', async (context) => {
  const { a, b, two } = await pair(context);
  const data = Buffer.alloc(LIMITS.snapshotChunkBytes, 7);
  const place = {
    term: term(2),
    index: logIndex(9),
    indexTerm: term(1),
    offset: 0,
    totalBytes: data.byteLength,
    digest: 'a'.repeat(64),
  };
  assert.ok(a.links.send(two.actor, GROUP, { type: 'snapshot', ...place, data }, []));
  const find = () => b.received.find(({ message }) => message.type === 'snapshot')?.message;
  await until(() => find() !== undefined, 'the piece has arrived');
  assert.deepEqual(find(), { type: 'snapshot', ...place, data });
});

test('a damaged record ends the stream and is not handed on, and the link recovers', async (context) => {
  const { a, b, two } = await pair(context);
  const { message, records } = makeAppend(2);
  const [first, second] = records;
  assert.ok(first !== undefined && second !== undefined);
  const damaged = Buffer.from(second.bytes);
  damaged[60] = (damaged[60] ?? 0) ^ 1;
  a.links.send(two.actor, GROUP, message, [first, { ...second, bytes: damaged }]);
  await until(() => !a.links.send(two.actor, GROUP, makeAppend(0).message, []), 'the bulk link was closed');
  await linked(a, two);
  assert.ok(b.received.every(({ records: arrived }) => arrived.length === 0));
  assert.deepEqual(b.internalErrors, []);
});

test('a killed peer is refused within 200 ms, and found again when it is back', async (context) => {
  const { a, b, members, two } = await pair(context);
  const killedAtMs = performance.now();
  await b.kill();
  await until(() => a.links.states().get(two.actor) === 'refused', 'the refusal is noticed');
  const noticed = a.linkStates.find(({ state, atMs }) => state === 'refused' && atMs > killedAtMs);
  assert.ok(
    noticed !== undefined && noticed.atMs - killedAtMs < 200,
    `noticed after ${(noticed?.atMs ?? 0) - killedAtMs} ms`,
  );
  assert.equal(a.links.send(two.actor, GROUP, heartbeat(1), []), false);
  const again = await startNode(context, { members, self: two, bootCounter: 2 });
  const backAtMs = performance.now();
  await linked(a, two);
  assert.ok(performance.now() - backAtMs < 1000, `linked again after ${performance.now() - backAtMs} ms`);
  assert.ok(a.links.send(two.actor, GROUP, heartbeat(7), []));
  await until(
    () => again.received.some(({ message }) => message.type === 'heartbeat' && message.round === 7),
    'it hears again',
  );
});

test('states are told once each', async (context) => {
  const { a, b, two } = await pair(context);
  await b.kill();
  await until(() => a.links.states().get(two.actor) === 'refused', 'the refusal is noticed');
  // Some more attempts fail meanwhile.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const told = a.linkStates.map(({ state }) => state);
  for (let n = 1; n < told.length; n++) assert.notEqual(told[n], told[n - 1], told.join(' '));
  assert.equal(told.at(-1), 'refused');
});

/** A logger that keeps the errors it is given. */
function errorLogger(): { readonly logger: Logger; readonly errors: FlotillaError[] } {
  const errors: FlotillaError[] = [];
  const logger: Logger = {
    ...silentLogger,
    error: (fields: { error?: unknown }) => void (fields.error instanceof FlotillaError && errors.push(fields.error)),
  };
  return { logger, errors };
}

interface Stranger {
  readonly one: Member;
  readonly two: Member;
  readonly three: Member;
}

/**
 * What the second node to start believes, of itself and of the cluster; the first is `one`, in a cluster with `two`.
 */
const strangers: readonly [
  name: string,
  options: (members: Stranger) => Omit<TestNodeOptions, 'logger'>,
  words: RegExp,
][] = [
  [
    'a node of another cluster',
    ({ one, two }) => ({ members: [one, two], self: two, clusterId: 'd'.repeat(32) }),
    /belongs to cluster d+, this node to c+/,
  ],
  [
    'a former member',
    ({ one, three }) => ({ members: [one, three], self: three }),
    /actor 3 is no member of cluster c+ any more: it was removed/,
  ],
  [
    'a member with another data directory',
    ({ one, two }) => {
      const replaced = { ...two, instance: newInstance() };
      return { members: [one, replaced], self: replaced };
    },
    /actor 2 comes with the data directory/,
  ],
  [
    'a caller of another actor',
    ({ one, two, three }) => ({ members: [{ ...three, address: one.address }, two], self: two }),
    /actor 2 looks for actor 3 here, and this is actor 1/,
  ],
  [
    'a caller of another data directory',
    ({ one, two }) => ({ members: [{ ...one, instance: 'f'.repeat(32) }, two], self: two }),
    /actor 2 looks for actor 1 here, and this is actor 1 on another data directory/,
  ],
];

for (const [name, options, words] of strangers) {
  test(`${name} is refused, is logged once, and changes nothing`, async (context) => {
    const [one, two, three] = await makeMembers(3);
    assert.ok(one !== undefined && two !== undefined && three !== undefined);
    const { logger, errors } = errorLogger();
    const calls: string[] = [];
    const a = await startNode(context, {
      members: [one, two],
      former: [three.instance],
      self: one,
      logger,
      onCall: () => void calls.push('deliver'),
    });
    const stranger = await startNode(context, options({ one, two, three }));
    await until(() => errors.some(({ message }) => words.test(message)), 'the refusal is logged');
    const seen = calls.length;
    await until(() => calls.length >= seen + 2, 'the stranger knocks again');
    assert.equal(errors.filter(({ message }) => words.test(message)).length, 1);
    assert.ok(errors.every(({ code }) => code === 'FOREIGN_NODE'));
    assert.deepEqual(a.received, []);
    assert.ok(!stranger.linkStates.some(({ state }) => state === 'open'));
  });
}

test('an address that leads back to the caller is refused', async (context) => {
  const [one, two] = await makeMembers(2);
  assert.ok(one !== undefined && two !== undefined);
  const { logger, errors } = errorLogger();
  const a = await startNode(context, { members: [one, { ...two, address: one.address }], self: one, logger });
  await until(
    () => errors.some(({ message }) => /actor 1 looks for actor 2 here, and this is actor 1/.test(message)),
    'it is refused',
  );
  assert.ok(!a.linkStates.some(({ state }) => state === 'open'));
});

test('a broken invariant of a receiver is reported there', async (context) => {
  const { a, b, two } = await pair(context, {
    onMessage: (_from, _group, message) => {
      if (message.type === 'heartbeat') throw new AssertionFailure('an invariant is broken');
    },
  });
  a.links.send(two.actor, GROUP, heartbeat(1), []);
  await until(() => b.internalErrors.some((error) => error instanceof AssertionFailure), 'the defect is reported');
});

test('a full queue refuses further appends, and heartbeats go on', async (context) => {
  const { a, b, two } = await pair(context);
  const { message, records } = makeAppend(1, 1024 * 1024);
  let accepted = 0;
  // Synchronously: the connection takes nothing in the meantime.
  while (accepted < 1000 && a.links.send(two.actor, GROUP, message, records)) accepted++;
  assert.ok(
    accepted > 0 && accepted <= LIMITS.peerBulkBytes / (1024 * 1024),
    `${accepted} appends of 1 MiB were queued`,
  );
  assert.ok(a.links.send(two.actor, GROUP, heartbeat(3), []));
  await until(
    () => b.received.filter(({ message: { type } }) => type === 'append').length >= accepted,
    'what was accepted arrives',
    20_000,
  );
  const position = b.received.findIndex(({ message: { type } }) => type === 'heartbeat');
  assert.ok(position >= 0 && position < accepted, 'the heartbeat did not wait for the appends');
  await until(() => a.links.send(two.actor, GROUP, message, records), 'there is capacity again');
});

test('a removed member is no longer heard', async (context) => {
  const { a, b, one, two } = await pair(context);
  b.links.setMembers([two]);
  await until(() => !isOpen(a, two), 'its link was ended');
  assert.equal(b.links.states().size, 0);
  assert.equal(b.links.send(one.actor, GROUP, heartbeat(1), []), false);
});

test('close ends everything', async (context) => {
  const { a, two } = await pair(context);
  await a.links.close();
  assert.equal(a.links.send(two.actor, GROUP, heartbeat(1), []), false);
  assert.equal(CLUSTER.length, 32);
});

test("a peer of an older version than the cluster's is refused; both name the node to upgrade", async (context) => {
  const members = await makeMembers(2);
  const [one, two] = members;
  assert.ok(one !== undefined && two !== undefined);
  const [upToDate, outdated] = [errorLogger(), errorLogger()];
  await startNode(context, { members, self: one, versions: { lowest: 2, highest: 2 }, logger: upToDate.logger });
  const old = await startNode(context, {
    members,
    self: two,
    versions: { lowest: 1, highest: 1 },
    logger: outdated.logger,
  });
  const said = (errors: FlotillaError[], words: RegExp) =>
    errors.some(({ code, message }) => code === 'UPGRADE_NEEDED' && words.test(message));
  await until(
    () => said(upToDate.errors, /actor 2 speaks protocol 1, and version 2 is active in this cluster: upgrade actor 2/),
    'it is refused',
  );
  await until(() => said(outdated.errors, /upgrade actor 2/), 'it is told so');
  assert.deepEqual(old.received, []);
});

test('a record of a kind that is not known stops the node', async (context) => {
  const { a, b, two } = await pair(context);
  const { message, records } = makeAppend(1);
  const [record] = records;
  assert.ok(record !== undefined);
  const bytes = Buffer.from(record.bytes);
  bytes[1] = 77;
  bytes.writeUInt32LE(crc32(bytes.subarray(52), crc32(bytes.subarray(0, 48))), 48);
  a.links.send(two.actor, GROUP, message, [{ ...record, bytes }]);
  await until(() => b.fatal.length > 0, 'the node stops');
  assert.deepEqual(
    [
      b.fatal[0]?.code,
      /kind 77.*written by a newer version of Flotilla; upgrade this node/.test(b.fatal[0]?.message ?? ''),
    ],
    ['UPGRADE_NEEDED', true],
  );
  assert.ok(b.received.every(({ records: arrived }) => arrived.length === 0));
});
