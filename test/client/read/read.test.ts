import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { FlotillaError } from '../../../src/base/index.js';
import {
  type ClientOptions,
  type ErrorCode,
  type Event,
  FlotillaClient,
  type ReadOptions,
  type ReadStarted,
} from '../../../src/client/index.js';
import { parseEventId } from '../../../src/event/index.js';
import { packBody } from '../../../src/wire/index.js';
import { FakeLog, FakeNode } from '../../support/fake-node.js';

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function cluster(size: number, log: FakeLog): Promise<FakeNode[]> {
  const nodes: FakeNode[] = [];
  for (let actor = 1; actor <= size; actor++) {
    const node = await new FakeNode(actor, log).start();
    cleanups.push(() => node.kill());
    nodes.push(node);
  }
  return nodes;
}

function clientOf(nodes: readonly FakeNode[], options: ClientOptions = {}): FlotillaClient {
  const client = new FlotillaClient({ hosts: nodes.map((node) => node.address), timeoutMs: 8000, ...options });
  cleanups.push(() => client.close());
  return client;
}

/** Batches of `sizes` events with the data 1, 2, 3 …, alternately in /even and /odd. */
function filledLog(...sizes: number[]): FakeLog {
  const log = new FakeLog();
  for (const size of sizes) fill(log, size);
  return log;
}

function fill(log: FakeLog, size: number): void {
  const next = log.nextCounter;
  const events = Array.from({ length: size }, (_, position) => ({
    namespace: (next + position) % 2 === 0 ? '/even' : '/odd',
    data: Buffer.from(String(next + position)),
  }));
  log.append(packBody(events), 1);
}

async function counters(events: AsyncIterable<Event>): Promise<number[]> {
  const list: number[] = [];
  for await (const event of events) list.push(event.counter);
  return list;
}

const upTo = (count: number, from = 1): number[] => Array.from({ length: count }, (_, position) => from + position);
const code = (expected: ErrorCode) => (error: unknown) => error instanceof FlotillaError && error.code === expected;

test('read gives every event in order, and ends where the stream ended when it began', async () => {
  const log = filledLog(3, 1, 5);
  const nodes = await cluster(1, log);
  const started: ReadStarted[] = [];
  const events: Event[] = [];
  for await (const event of clientOf(nodes).read({ onStarted: (info) => started.push(info) })) events.push(event);
  assert.deepEqual(
    events.map((event) => [event.id, event.namespace, event.text()]),
    upTo(9).map((counter) => [
      `${String(counter).padStart(20, '0')}00001`,
      counter % 2 === 0 ? '/even' : '/odd',
      String(counter),
    ]),
  );
  assert.deepEqual(started, [{ confirmed: true, endId: '0000000000000000000900001', incarnation: log.incarnation }]);
});

test('an event has all its parts', async () => {
  const log = new FakeLog();
  const [node] = await cluster(1, log);
  assert.ok(node !== undefined);
  const client = clientOf([node]);
  const input = {
    namespace: '/a',
    data: '{"b":1}',
    parentId: '7.3',
    type: 'made',
    contentType: 'application/json',
    metadata: new Map([
      ['k', 'v'],
      ['__proto__', 'y'],
    ]),
  };
  await client.append([{ namespace: '/plain' }, input]);
  const [plain, full] = (await client.readBatches().next()).value ?? [];
  assert.ok(plain !== undefined && full !== undefined);
  assert.deepEqual(
    [plain.data.byteLength, plain.parentId, plain.type, plain.contentType, plain.metadata.size],
    [0, undefined, undefined, undefined, 0],
  );
  assert.deepEqual(full.json(), { b: 1 });
  assert.equal(full.parentId, '0000000000000000000700003');
  assert.equal(full.timestamp.getTime(), full.timestampMs);
  const times = '"timestamp":"2023-11-14T22:13:20.001Z","type":"made","contentType":"application/json"';
  const content = '"metadata":{"__proto__":"y","k":"v"},"data":"{\\"b\\":1}"';
  const ids = '"id":"0000000000000000000200001","parentId":"0000000000000000000700003"';
  assert.equal(JSON.stringify(full), `{${ids},"namespace":"/a",${times},${content}}`);
});

test('glob, startAfter and limit go to the node, and hold', async () => {
  const nodes = await cluster(1, filledLog(4, 4, 4));
  const client = clientOf(nodes);
  assert.deepEqual(await counters(client.read({ glob: '/even' })), [2, 4, 6, 8, 10, 12]);
  assert.deepEqual(await counters(client.read({ startAfter: '6.1' })), upTo(6, 7));
  assert.deepEqual(await counters(client.read({ startAfter: '0000000000000000000400001', limit: 3 })), [5, 6, 7]);
  assert.deepEqual(await counters(client.read({ startAfter: '12.1' })), []);
  assert.deepEqual(await counters(client.read({ limit: 0 })), upTo(12));
});

test('a read whose node dies goes on with the others: none skipped, none twice, the same end', async () => {
  const log = filledLog(...Array.from({ length: 40 }, () => 5));
  const nodes = await cluster(3, log);
  for (const node of nodes) node.batchesPerMessage = 3;
  for (const node of nodes.slice(0, 2)) node.breakReadAfterMessages = 4;
  const [first, second, third] = nodes;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  // What is appended after the read began is not part of it, at whichever node it goes on.
  second.onRead = () => fill(log, 5);
  let lost = 0;
  const seen = await counters(clientOf(nodes).read({ onReconnect: () => lost++ }));
  assert.deepEqual(seen, upTo(200));
  assert.ok(lost >= 2);
  assert.equal(third.reads[0]?.incarnation, log.incarnation);
});

test('a limit counts over all connections', async () => {
  const nodes = await cluster(2, filledLog(...Array.from({ length: 10 }, () => 5)));
  const [first, second] = nodes;
  assert.ok(first !== undefined && second !== undefined);
  first.batchesPerMessage = 1;
  first.breakReadAfterMessages = 3;
  assert.deepEqual(await counters(clientOf(nodes).read({ limit: 22 })), upTo(22));
  // What the killed node had sent may be lost with it.
  const resumed = second.reads[0];
  assert.ok(resumed !== undefined && resumed.startAfter !== '');
  assert.equal(resumed.limit, 22 - parseEventId(resumed.startAfter, 'start_after').counter);
});

test('a tail tells when it has caught up, goes on with new events, and survives the loss of its node', async () => {
  const log = filledLog(3);
  const nodes = await cluster(2, log);
  const [first] = nodes;
  assert.ok(first !== undefined);
  const tail = clientOf(nodes).tail();
  const seen: number[] = [];
  for await (const event of tail) {
    seen.push(event.counter);
    if (event.counter === 3) fill(log, 2);
    if (event.counter === 5) {
      await first.kill();
      fill(log, 2);
    }
    if (event.counter === 7) break;
  }
  assert.deepEqual(seen, upTo(7));
});

test('return breaks off a tail that waits, and close ends it with CANCELLED', async () => {
  const nodes = await cluster(1, filledLog(1));
  const client = clientOf(nodes);
  const left = client.tail();
  assert.equal((await left.next()).value?.counter, 1);
  const waiting = left.next();
  await left.return();
  assert.deepEqual(await waiting, { done: true, value: undefined });

  const cut = client.tail({ startAfter: '1.1' }).next();
  await client.close();
  await assert.rejects(cut, code('CANCELLED'));
});

test('a consumer that stops pulling stops the node', async () => {
  const log = new FakeLog();
  const data = new Uint8Array(250 * 1024);
  for (let batch = 0; batch < 200; batch++) log.append(packBody([{ namespace: '/a', data }]), 1);
  const [node] = await cluster(1, log);
  assert.ok(node !== undefined);
  node.batchesPerMessage = 1;
  const events = clientOf([node]).read();
  await events.next();
  let before = -1;
  while (node.sentMessages !== before) {
    before = node.sentMessages;
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(node.sentMessages < 150, `${node.sentMessages} of 200 messages were sent to a reader that took one`);
  assert.equal((await counters(events)).length, 199);
});

test('final failures are thrown with their code; a batch that arrives damaged is one', async () => {
  const log = filledLog(2);
  const [node] = await cluster(1, log);
  assert.ok(node !== undefined);
  const client = clientOf([node], { timeoutMs: 400 });
  await assert.rejects(client.read({ glob: '/foo**' }).next(), code('INVALID_ARGUMENT'));
  await assert.rejects(client.read({ startAfter: '4.' }).next(), code('INVALID_ARGUMENT'));
  await assert.rejects(client.read({ limit: -1 }).next(), code('INVALID_ARGUMENT'));
  node.onRead = () => {
    throw new FlotillaError('POSITION_MISMATCH', 'start_after: past the end');
  };
  await assert.rejects(client.read({ startAfter: '99.1' }).next(), code('POSITION_MISMATCH'));
  node.onRead = () => undefined;
  const stored = log.batches[0]?.bytes;
  assert.ok(stored !== undefined);
  stored[stored.length - 1] = (stored.at(-1) ?? 0) ^ 1;
  assert.notEqual(crc32(log.batches[0]?.body ?? ''), log.batches[0]?.header.bodyChecksum);
  await assert.rejects(client.read().next(), code('DATA_LOSS'));
});

test('refusals that pass are waited out; those that last are told', async () => {
  const [node] = await cluster(1, filledLog(2));
  assert.ok(node !== undefined);
  node.onRead = (_request, position) => {
    if (position < 2) throw new FlotillaError('NO_LEADER', 'no majority');
  };
  assert.deepEqual(await counters(clientOf([node]).read({ consistency: 'confirmed' })), [1, 2]);
  node.onRead = () => {
    throw new FlotillaError('NO_LEADER', 'no majority');
  };
  await assert.rejects(clientOf([node], { timeoutMs: 300 }).read().next(), code('NO_LEADER'));
  await node.kill();
  await assert.rejects(clientOf([node], { connectTimeoutMs: 200 }).read().next(), code('UNREACHABLE'));
});

test('a node that is behind the end of the read does not end it', async () => {
  const log = filledLog(5, 5, 5, 5);
  const behind = new FakeLog();
  behind.batches.push(...log.batches.slice(0, 2));
  const [first] = await cluster(1, log);
  const [second] = await cluster(1, behind);
  assert.ok(first !== undefined && second !== undefined);
  first.batchesPerMessage = 1;
  first.breakReadAfterMessages = 1;
  second.onRead = (_request, position) => {
    if (position === 1) behind.batches.push(...log.batches.slice(2));
  };
  assert.deepEqual(await counters(clientOf([first, second]).read()), upTo(20));
});

test('backwards, bounds, times and the last so many go to the node', async () => {
  const [node] = await cluster(1, filledLog(4, 4, 4));
  assert.ok(node !== undefined);
  const client = clientOf([node]);
  assert.deepEqual(await counters(client.read({ backwards: true })), upTo(12).reverse());
  assert.deepEqual(await counters(client.read({ backwards: true, endBefore: '6.1', limit: 3 })), [5, 4, 3]);
  assert.deepEqual(await counters(client.read({ backwards: true, endAt: '6.1', glob: '/even' })), [6, 4, 2]);
  await counters(client.read({ startAt: '5.1', since: new Date(5000), until: 7000, last: 3 }));
  const { startAt, startAfter, sinceMs, untilMs, last } = node.reads.at(-1) ?? {};
  assert.deepEqual(
    { startAt, startAfter, sinceMs, untilMs, last },
    { startAt: '5.1', startAfter: '', sinceMs: 5000, untilMs: 7000, last: 3 },
  );
});

test('what is no time, no count or no id is refused by the name of the option, before anything is sent', async () => {
  const [node] = await cluster(1, filledLog(1));
  assert.ok(node !== undefined);
  const client = clientOf([node]);
  const wrong: readonly (readonly [Parameters<typeof client.read>[0], RegExp])[] = [
    [{ since: Number.NaN }, /^since: NaN/],
    [{ since: new Date('nonsense') }, /^since: Invalid Date/],
    [{ until: -1 }, /^until: -1/],
    [{ until: Number.POSITIVE_INFINITY }, /^until: Infinity/],
    [{ since: 1e16 }, /^since: /],
    [{ last: 1.5 }, /^last: 1.5/],
    [{ startAt: '7654' }, /^startAt: /],
    [{ endBefore: '.4' }, /^endBefore: /],
    [{ endAt: '1.65536' }, /^endAt: /],
  ];
  for (const [options, message] of wrong) {
    await assert.rejects(
      client.read(options).next(),
      (error) => code('INVALID_ARGUMENT')(error) && message.test((error as Error).message),
    );
  }
  assert.equal(node.reads.length, 0);
});

test('a backwards read goes on at another node when its own dies: none skipped, none twice, none newer', async () => {
  const log = filledLog(...Array.from({ length: 40 }, () => 5));
  const nodes = await cluster(3, log);
  for (const node of nodes) node.batchesPerMessage = 3;
  for (const node of nodes.slice(0, 2)) node.breakReadAfterMessages = 4;
  const second = nodes[1];
  assert.ok(second !== undefined);
  second.onRead = () => fill(log, 5);
  assert.deepEqual(await counters(clientOf(nodes).read({ backwards: true })), upTo(200).reverse());
});

test('a backwards read that is cut off, over what is removed meanwhile, ends with what is kept', async () => {
  const isRemoved = new FlotillaError('POSITION_REMOVED', 'it is not kept any more');
  /** The first node gives the newest of 40, down to event `stood`, and is lost; by then events have gone. */
  const readOver = async (
    removes: (stood: number) => number,
    options: ReadOptions,
  ): Promise<{ given: number[]; stood: number; asked: number }> => {
    const log = filledLog(...Array.from({ length: 10 }, () => 4));
    const nodes = await cluster(2, log);
    const [first, second] = nodes;
    assert.ok(first !== undefined && second !== undefined);
    Object.assign(first, { batchesPerMessage: 1, breakReadAfterMessages: 6 });
    let stood = 0;
    second.onRead = ({ startAfter, startAt, endBefore, endAt }) => {
      const bounds = [startAfter, startAt, endBefore, endAt].map((id) =>
        id === '' ? 41 : parseEventId(id, 'id').counter,
      );
      if (stood === 0) {
        stood = Math.min(bounds[2] ?? 41, (bounds[3] ?? 41) + 1);
        log.batches.splice(0, Math.floor(removes(stood) / 4));
      }
      if (bounds.some((bound) => bound <= removes(stood))) throw isRemoved;
    };
    const given = await counters(clientOf(nodes).read({ backwards: true, ...options }));
    return { given, stood, asked: second.reads.length };
  };
  const down = (to: number): number[] => upTo(41 - to, to).reverse();
  for (const [options, asked] of [[{}, 1] as const, [{ startAfter: '4.1' }, 2] as const]) {
    const { stood, ...read } = await readOver((at) => Math.min(at, 40), options);
    assert.deepEqual(read, { given: down(stood), asked }, 'all that it had still to give is gone');
  }
  const { stood, ...read } = await readOver(() => 8, { startAt: '4.1' });
  assert.deepEqual(read, { given: down(9), asked: 2 }, `from ${stood} on, where it was to end is gone`);
});

test('what is counted from the end is counted from the end that was told of, also at the next node', async () => {
  const log = filledLog(5, 5);
  const nodes = await cluster(2, log);
  const [first, second] = nodes;
  assert.ok(first !== undefined && second !== undefined);
  first.breakReadAfterMessages = 0;
  second.onRead = () => fill(log, 5);
  assert.deepEqual(await counters(clientOf(nodes).read({ backwards: true, limit: 3 })), [10, 9, 8]);
  await counters(clientOf([second]).read({ last: 3 }));
  assert.equal(second.reads[0]?.endAt, '0000000000000000001000001');
});

test('a tail from now on that is cut off before its first event begins where it began', async () => {
  const log = filledLog(3);
  const nodes = await cluster(2, log);
  const [first, second] = nodes;
  assert.ok(first !== undefined && second !== undefined);
  first.breakReadAfterMessages = 0;
  second.onRead = () => fill(log, 1);
  const tail = clientOf(nodes).tail({ fromNow: true });
  assert.equal((await tail.next()).value?.counter, 4);
  await tail.return();
  assert.equal(first.reads[0]?.fromNow, true);
  assert.deepEqual([second.reads[0]?.fromNow, second.reads[0]?.startAfter], [false, '0000000000000000000300001']);
});

test('get gives one event, asks on where a node fails, and says NOT_FOUND where there is none', async () => {
  const nodes = await cluster(2, filledLog(3));
  const [first] = nodes;
  assert.ok(first !== undefined);
  const client = clientOf(nodes);
  first.onGet = () => {
    throw new FlotillaError('NO_LEADER', 'no majority');
  };
  assert.equal((await client.get('2.1')).text(), '2');
  await assert.rejects(client.get('4.1'), code('NOT_FOUND'));
  await assert.rejects(client.get('4.'), code('INVALID_ARGUMENT'));
});

test('what a callback throws comes out of the read as it is', async () => {
  const nodes = await cluster(1, filledLog(3));
  const client = clientOf(nodes);
  const mine = new Error('mine');
  const fail = (): never => {
    throw mine;
  };
  const isMine = (error: unknown): boolean => error === mine;
  await assert.rejects(counters(client.read({ onStarted: fail })), isMine);
  // One of our errors, too, is no failure of the connection here.
  const busy = new FlotillaError('TOO_MANY_REQUESTS', 'mine');
  const refuse = (): never => {
    throw busy;
  };
  await assert.rejects(counters(client.read({ onStarted: refuse })), (error) => error === busy);
  assert.deepEqual(await counters(client.read()), upTo(3));
});

test('status says CANCELLED once the client is closed', async () => {
  const client = clientOf(await cluster(1, filledLog(1)));
  await client.close();
  await assert.rejects(client.status(), code('CANCELLED'));
});
