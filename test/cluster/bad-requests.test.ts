/**
 * What clients may send that is wrong: each gets its status, our code, the field's name and no stack trace; nothing
 * changes.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { packBody, proto } from '../../src/wire/index.js';
import { type Cluster, withReadyCluster } from '../support/cluster.js';
import { append, newEvent } from '../support/cluster-node.js';
import { RawCaller, type RawOutcome } from '../support/raw-call.js';
import { readRequest } from '../support/read-request.js';

interface BadRequest {
  readonly name: string;
  readonly method?: string;
  readonly bytes: Uint8Array;
  readonly status?: string;
  readonly code?: string;
  readonly says: RegExp;
}

test(
  'bad requests get their status and code, and the field in the message; no node is impressed, and nothing is appended',
  withReadyCluster({}, async (cluster, context) => {
    const client = cluster.node(1).connect();
    await append(client, [newEvent({ namespace: '/good', data: Buffer.from('the only event') })]);
    client.close();
    const before = await cluster.equalDumps();
    const indexes = await lastIndexes(cluster);

    for (const request of [...badAppends(), ...badReads(), ...badBytes()]) {
      await context.test(request.name, () => refuses(cluster, request));
    }
    await context.test('a bad batch on a produce stream fails by itself: those around it are appended', () =>
      batchesStandAlone(cluster),
    );

    const after = await cluster.equalDumps();
    assert.deepEqual(after.slice(0, 1), before);
    assert.deepEqual(
      after.slice(1).map(({ data }) => data),
      ['first', 'last'],
    );
    for (const [position, last] of (await lastIndexes(cluster)).entries()) {
      const entries = last - (indexes[position] ?? 0);
      assert.ok(entries === 1 || entries === 2, `two batches, which may share an entry, and nothing else: ${entries}`);
    }
    for (const node of cluster.nodes) {
      assert.ok(node.running);
      assert.doesNotMatch(
        readFileSync(node.logPath, 'utf8'),
        /"level":"(error|fatal)"/,
        'a caller mistake is none of the node',
      );
    }
  }),
);

async function refuses(cluster: Cluster, request: BadRequest): Promise<void> {
  const {
    method = 'EventService/Append',
    bytes,
    status = 'INVALID_ARGUMENT',
    code = 'INVALID_ARGUMENT',
    says,
  } = request;
  for (const node of cluster.nodes) {
    const caller = new RawCaller(node);
    try {
      const outcome = await caller.call(method, bytes);
      assert.equal(outcome.status, status, outcome.message);
      assert.equal(outcome.code, code === '' ? undefined : code, outcome.message);
      assert.match(outcome.message, says);
      assertTidy(outcome);
    } finally {
      caller.close();
    }
  }
}

function assertTidy({ message }: RawOutcome): void {
  assert.doesNotMatch(message, /\n|\bat \w+.*\(|node:internal|\.js:\d/, 'no stack trace');
  assert.ok(message.length < 600, `${message.length} characters`);
}

async function batchesStandAlone(cluster: Cluster): Promise<void> {
  const caller = new RawCaller(cluster.node(2));
  const request = (requestId: number, namespace: string, data: string): Uint8Array =>
    encode(proto.ProduceRequest, {
      requestId: String(requestId),
      stream: '',
      events: [newEvent({ namespace, data: Buffer.from(data) })],
      packed: undefined,
      producer: undefined,
    });
  try {
    const outcome = await caller.call(
      'EventService/Produce',
      request(1, '/good', 'first'),
      request(2, '', 'bad'),
      request(3, '/good', 'last'),
    );
    assert.equal(outcome.status, 'OK', outcome.message);
    assert.ok(outcome.responses >= 3, `${outcome.responses} responses`);
  } finally {
    caller.close();
  }
}

async function lastIndexes(cluster: Cluster): Promise<number[]> {
  return await Promise.all(cluster.nodes.map(async (node) => Number((await node.status())?.lastIndex)));
}

const BAD_IDS = {
  'a counter alone': '7654',
  'an empty actor': '4.',
  'an empty counter': '.4',
  text: 'abc.d',
  '24 digits': '1'.repeat(24),
  '26 digits': '1'.repeat(26),
  'counter 0': '0.1',
  'counter 0 in 25 digits': `${'0'.repeat(24)}1`,
  'counter 2^53': '9007199254740992.1',
  'counter 2^63': '9223372036854775808.1',
  'counter 2^64 - 1': '18446744073709551615.1',
  'counter 2^64 - 1 in 25 digits': '1844674407370955161500001',
  'actor 0': '1.0',
  'actor 65536': '1.65536',
  'ten thousand digits': '1'.repeat(10_000),
};

const BAD_NAMESPACES = {
  'an empty namespace': '',
  'a blank namespace': ' \u2003 ',
  'a namespace with NUL': '/a\0b',
  'a namespace with a line break': '/a\nb',
  'a namespace of the system': '/$status/x',
  'a namespace of 1,025 bytes': `/${'é'.repeat(512)}`,
  'a namespace of ten thousand characters': 'n'.repeat(10_000),
};

const BAD_GLOBS = {
  'a glob with ** behind a name': '/foo**',
  'a glob with ** before a name': '/**foo',
  'a glob with three stars': '/***',
  'a glob with an open class': '[unclosed',
  'a glob with an empty class': '[]',
  'a glob with an empty negated class': '[!]',
  'a glob with NUL': '/a\0*',
  'a glob of ten thousand characters': `${'a*'.repeat(5000)}b`,
};

function badAppends(): BadRequest[] {
  const event = newEvent({ namespace: '/bad' });
  const packed = packBody([{ namespace: '/bad', data: new Uint8Array(3) }]);
  const of = (
    name: string,
    events: readonly proto.NewEvent[],
    says: RegExp,
    more: Partial<BadRequest> = {},
  ): BadRequest => ({
    name,
    bytes: appendRequest({ events: [...events] }),
    says,
    ...more,
  });
  const tooLarge = { status: 'RESOURCE_EXHAUSTED', code: 'MESSAGE_TOO_LARGE' };
  const inPacked = (name: string, change: Partial<proto.PackedBody>): BadRequest => ({
    name,
    bytes: appendRequest({ packed: { ...packed, ...change } }),
    says: /packed|body|batch/,
  });
  return [
    of('no events', [], /^events: /),
    of('65,537 events', new Array<proto.NewEvent>(65_537).fill(event), /^events: there are more than the 65536 /),
    ...Object.entries(BAD_NAMESPACES).map(([name, namespace]) =>
      of(name, [event, { ...event, namespace }], /^events\[1\]\.namespace: /),
    ),
    ...Object.entries(BAD_IDS).map(([name, parentId]) =>
      of(`a parent id with ${name}`, [{ ...event, parentId }], /^events\[0\]\.parent_id: /),
    ),
    of(
      'an event of more than 1 MiB',
      [{ ...event, data: new Uint8Array(1024 * 1024 + 1) }],
      /^events\[0\]\.data: 1048577 bytes /,
      tooLarge,
    ),
    of(
      'attributes of more than 8 KiB',
      [{ ...event, metadata: new Map([['k', 'v'.repeat(8192)]]) }],
      /^events\[0\]: .*metadata/,
    ),
    of('NUL in a type', [{ ...event, type: 'a\0' }], /^events\[0\]\.type: /),
    of('NUL in metadata', [{ ...event, metadata: new Map([['k\0', 'v']]) }], /^events\[0\]\.metadata: /),
    {
      name: 'events and a packed body',
      bytes: appendRequest({ events: [event], packed }),
      says: /^events and packed: /,
    },
    inPacked('a packed body with another checksum', { checksum: (packed.checksum ^ 1) >>> 0 }),
    inPacked('a packed body with another count', { count: 2 }),
    inPacked('a packed body of no events', { count: 0 }),
    inPacked('a packed body that is cut off', { body: packed.body.subarray(0, -1) }),
    inPacked('a packed body of nothing', { body: new Uint8Array(0) }),
    {
      name: 'an unknown stream',
      bytes: appendRequest({ stream: 'nosuch', events: [event] }),
      status: 'NOT_FOUND',
      code: 'NOT_FOUND',
      says: /nosuch/,
    },
    {
      name: 'a stream called __proto__',
      bytes: appendRequest({ stream: '__proto__', events: [event] }),
      status: 'NOT_FOUND',
      code: 'NOT_FOUND',
      says: /__proto__/,
    },
    {
      name: 'a stream name with a slash',
      bytes: appendRequest({ stream: '../etc', events: [event] }),
      says: /^stream: /,
    },
    {
      name: 'a stream name of 51 characters',
      bytes: appendRequest({ stream: 's'.repeat(51), events: [event] }),
      says: /^stream: /,
    },
  ];
}

function badReads(): BadRequest[] {
  const of = (
    name: string,
    request: Partial<proto.ReadRequest>,
    says: RegExp,
    more: Partial<BadRequest> = {},
  ): BadRequest => ({
    name: `a read: ${name}`,
    method: 'EventService/Read',
    bytes: encode(proto.ReadRequest, readRequest(request)),
    says,
    ...more,
  });
  const mismatch = { status: 'FAILED_PRECONDITION', code: 'POSITION_MISMATCH' };
  return [
    ...Object.entries(BAD_GLOBS).map(([name, glob]) =>
      of(name, { glob }, /^glob: .*(character \d|longer than 1024 bytes)/),
    ),
    ...Object.entries(BAD_IDS).map(([name, startAfter]) => of(`after ${name}`, { startAfter }, /^start_after: /)),
    of(
      'after the event, but of another actor',
      { startAfter: '1.2' },
      /^start_after: .*0000000000000000000100001/,
      mismatch,
    ),
    of('after an event that is not there', { startAfter: '2.1' }, /^start_after: /, mismatch),
    of('after the last possible event', { startAfter: '9007199254740991.65535' }, /^start_after: /, mismatch),
    of('of another incarnation', { incarnation: 'f'.repeat(32) }, /^incarnation: /, mismatch),
    of('with a negative limit', { limit: -1 }, /^limit: -1 /),
    of('with an unknown consistency', { consistency: 99 as proto.Consistency }, /^consistency: 99 /),
    of('of an unknown stream', { stream: 'nosuch' }, /nosuch/, { status: 'NOT_FOUND', code: 'NOT_FOUND' }),
    {
      name: 'a read: since a time of 2^63 - 1',
      method: 'EventService/Read',
      bytes: bytesOf(12 * 8, ...new Array<number>(8).fill(0xff), 0x7f),
      says: /^since_ms: 9223372036854775807 /,
    },
  ];
}

/** What no protobuf library would send. */
function badBytes(): BadRequest[] {
  const namespace = (...text: number[]): Uint8Array => bytesOf(0x12, text.length + 2, 0x0a, text.length, ...text);
  return [
    { name: 'bytes that are no protobuf', bytes: bytesOf(0xff, 0xff, 0xff, 0xff), says: /./ },
    {
      name: 'an event with the lone end of a group',
      bytes: bytesOf(0x12, 4, 0x0a, 1, 0x61, 0x0c),
      says: /well-formed.*end of a group/,
    },
    {
      name: 'an event with a field that ends behind it',
      bytes: bytesOf(0x12, 3, 0x0a, 2, 0x61, 0x12, 0),
      says: /well-formed/,
    },
    {
      name: 'a length of 2^32 + 1',
      bytes: bytesOf(0x0a, 0x81, 0x80, 0x80, 0x80, 0x10, 0x61),
      says: /well-formed.*32 bits/,
    },
    { name: 'a message that is cut off', bytes: bytesOf(0x12, 0x7f, 0x0a), says: /./ },
    { name: 'a text that is not UTF-8', bytes: namespace(0x2f, 0xff, 0xfe), says: /./ },
    { name: 'a text with half a surrogate pair', bytes: namespace(0x2f, 0xed, 0xa0, 0x80), says: /./ },
    { name: 'a stream name that is not UTF-8', bytes: bytesOf(0x0a, 2, 0xc3, 0x28), says: /./ },
    {
      name: 'a read of bytes that are no protobuf',
      method: 'EventService/Read',
      bytes: bytesOf(0x0a, 0xff, 0x01),
      says: /./,
    },
    {
      name: 'a produce of bytes that are no protobuf',
      method: 'EventService/Produce',
      bytes: bytesOf(0x0a, 0xff, 0x01),
      says: /./,
    },
    {
      name: 'a message that is larger than any may be',
      bytes: appendRequest({ events: [newEvent({ namespace: '/bad', data: new Uint8Array(24 * 1024 * 1024) })] }),
      status: 'RESOURCE_EXHAUSTED',
      code: 'MESSAGE_TOO_LARGE',
      says: /^the message of \d+ bytes is larger than the 20971520 /,
    },
    {
      name: 'an unknown method',
      method: 'EventService/Explode',
      bytes: bytesOf(),
      status: 'UNIMPLEMENTED',
      code: 'FOREIGN_NODE',
      says: /Explode/,
    },
    {
      name: 'an unknown service',
      method: 'NoService/Append',
      bytes: bytesOf(),
      status: 'UNIMPLEMENTED',
      code: 'FOREIGN_NODE',
      says: /NoService/,
    },
    {
      name: 'a peer call without an introduction',
      method: 'PeerService/Introduce',
      bytes: bytesOf(),
      says: /self|who/,
    },
  ];
}

function appendRequest(request: Partial<proto.AppendRequest>): Uint8Array {
  return encode(proto.AppendRequest, { stream: '', events: [], packed: undefined, ...request });
}

function encode<T>(type: { encode(message: T): { finish(): Uint8Array } }, message: T): Uint8Array {
  return type.encode(message).finish();
}

function bytesOf(...bytes: number[]): Uint8Array {
  return Uint8Array.from(bytes);
}
