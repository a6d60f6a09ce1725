import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Member } from '../../src/base/index.js';
import type { ClockMessage } from '../../src/wire/index.js';
import { GROUP, heartbeat, makeAppend, makeMembers, startNode, type TestNode, until } from './peer-fixture.js';

const isOpen = (node: TestNode, peer: Member): boolean => node.links.states().get(peer.actor) === 'open';

/** Both connections of a node to a peer stand: a heartbeat and an empty append get through. */
async function linked(node: TestNode, peer: Member): Promise<void> {
  await until(
    () => isOpen(node, peer) && node.links.send(peer.actor, GROUP, makeAppend(0).message, []),
    `actor ${node.member.actor} is linked to ${peer.actor}`,
  );
}

async function pair(context: Parameters<typeof startNode>[0], second: Partial<Parameters<typeof startNode>[1]> = {}) {
  const members = await makeMembers(2);
  const [one, two] = members;
  assert.ok(one !== undefined && two !== undefined);
  const a = await startNode(context, { members, self: one });
  const b = await startNode(context, { members, self: two, ...second });
  await linked(a, two);
  await linked(b, one);
  b.received.length = 0;
  return { members, one, two, a, b };
}

test('messages of one turn travel in one frame, in their order, those of the next in another', async (context) => {
  let frames = 0;
  const { a, b, two } = await pair(context, {
    onHeard: () => {
      frames++;
    },
  });
  frames = 0;
  const rounds = (): number[] =>
    b.received.flatMap(({ message }) => (message.type === 'heartbeat' ? [message.round] : []));
  for (let round = 1; round <= 200; round++) assert.ok(a.links.send(two.actor, GROUP, heartbeat(round), []));
  await until(() => rounds().length >= 200, 'everything has arrived');
  // The append that found the link open may have come late, in a frame of its own.
  assert.ok(frames <= 2, `${frames} frames`);
  assert.deepEqual(
    rounds(),
    Array.from({ length: 200 }, (_, index) => index + 1),
  );
  const before = frames;
  assert.ok(a.links.send(two.actor, GROUP, heartbeat(201), []));
  await until(() => rounds().length === 201, 'it has arrived');
  assert.ok(frames > before);
});

test('a node heartbeat says that the node is up, and nothing else', async (context) => {
  const heard: number[] = [];
  const { a, b, one, two } = await pair(context, { onHeard: (from) => void heard.push(from) });
  await until(() => heard.length > 0, 'what found the link open has arrived');
  heard.length = 0;
  b.received.length = 0;
  for (let beat = 0; beat < 3; beat++) a.links.heartbeat(two.actor);
  await until(() => heard.length > 0, 'it is heard');
  assert.ok(heard.every((from) => from === one.actor));
  assert.ok(
    b.received.every(({ message }) => message.type === 'append'),
    'no message comes of it',
  );
  assert.deepEqual(b.internalErrors, []);
});

test('clocks are compared beside it, and are no sign of life', async (context) => {
  const heard: number[] = [];
  const told: ClockMessage[] = [];
  const { a, b, one, two } = await pair(context, {
    onHeard: (from) => void heard.push(from),
    onClock: (from, message) => {
      assert.equal(from, one.actor);
      told.push(message);
    },
  });
  await until(() => heard.length > 0, 'what found the link open has arrived');
  heard.length = 0;
  a.links.tellClock(two.actor, { type: 'clock-request', requestId: 4 });
  await until(() => told.length > 0, 'the question has arrived');
  assert.deepEqual(told, [{ type: 'clock-request', requestId: 4 }]);
  assert.deepEqual(heard, []);
  assert.deepEqual(b.internalErrors, []);
});
