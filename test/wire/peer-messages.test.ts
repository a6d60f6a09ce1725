import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { actorId, FlotillaError, groupId, logIndex, term } from '../../src/base/index.js';
import type { Message } from '../../src/raft/index.js';
import {
  decodeMessage,
  EMPTY_LOG_TAIL,
  encodeMembership,
  entryInfoOf,
  frameOf,
  type LogRecord,
  type LogTail,
  nodeHeartbeat,
  openRecord,
  peerMessageFromProto,
  peerMessageToProto,
  proto,
  requestsOf,
  sealRecord,
  tailAfter,
} from '../../src/wire/index.js';

const GROUP = groupId(3);

function chain(terms: readonly number[], from: LogTail = EMPTY_LOG_TAIL): LogRecord[] {
  const records: LogRecord[] = [];
  let tail = from;
  for (const inTerm of terms) {
    const record = sealRecord(tail, { kind: 'no-op', term: term(inTerm), eventCount: 0, payloadBytes: 0 });
    records.push(record);
    tail = tailAfter(record);
  }
  return records;
}

const append = (records: readonly LogRecord[], previousIndex = 0, previousTerm = 0, inTerm = 5): Message => ({
  type: 'append',
  term: term(inTerm),
  previousIndex: logIndex(previousIndex),
  previousTerm: term(previousTerm),
  commitIndex: logIndex(0),
  entries: records.map(entryInfoOf),
});

function overTheWire(message: Message, records: readonly LogRecord[] = []) {
  const bytes = proto.DeliverRequest.encode(peerMessageToProto({ group: GROUP, message, records })).finish();
  return peerMessageFromProto(decodeMessage(proto.DeliverRequest, bytes));
}

const messages: readonly Message[] = [
  {
    type: 'vote-request',
    term: term(7),
    lastIndex: logIndex(9),
    lastTerm: term(6),
    preVote: true,
    leadershipTransfer: false,
  },
  {
    type: 'vote-request',
    term: term(2 ** 53 - 1),
    lastIndex: logIndex(0),
    lastTerm: term(0),
    preVote: false,
    leadershipTransfer: true,
  },
  { type: 'vote-response', term: term(7), granted: true, preVote: true },
  {
    type: 'snapshot',
    term: term(7),
    index: logIndex(12),
    indexTerm: term(6),
    offset: 512,
    totalBytes: 1024,
    digest: 'd'.repeat(64),
    data: new Uint8Array(512).fill(5),
  },
  { type: 'snapshot-result', term: term(7), index: logIndex(12), receivedBytes: 1024 },
  {
    type: 'append-result',
    term: term(7),
    accepted: false,
    index: logIndex(12),
    hintIndex: logIndex(4),
    hintTerm: term(2),
  },
  { type: 'heartbeat', term: term(7), commitIndex: logIndex(3), round: 99, quiesce: false },
  { type: 'heartbeat', term: term(7), commitIndex: logIndex(3), round: 100, quiesce: true },
  { type: 'heartbeat-result', term: term(7), round: 99, quiesced: false },
  { type: 'heartbeat-result', term: term(7), round: 100, quiesced: true },
  { type: 'timeout-now', term: term(7) },
  { type: 'read-index-request', term: term(7), requestId: 1 },
  { type: 'read-index-response', term: term(7), requestId: 1, index: logIndex(0) },
];

for (const message of messages) {
  test(`a message of type ${message.type} comes back as it was`, () => {
    assert.deepEqual(overTheWire(message), { group: GROUP, message, records: [] });
  });
}

test('an append comes back with its records opened', () => {
  const records = chain([1, 1, 4]);
  const arrived = overTheWire(append(records), records);
  assert.deepEqual(arrived.message, append(records));
  assert.deepEqual(
    arrived.records.map(({ checksum }) => checksum),
    records.map(({ checksum }) => checksum),
  );
});

test('a configuration record in an append brings its configuration', () => {
  const one = actorId(1);
  const payload = encodeMembership({ voters: [one], outgoing: [], learners: [], members: [] });
  const record = sealRecord(
    EMPTY_LOG_TAIL,
    { kind: 'configuration', term: term(1), eventCount: 0, payloadBytes: payload.byteLength },
    (room) => payload.copy(room),
  );
  const { message } = overTheWire(append([record]), [record]);
  assert.ok(message.type === 'append');
  assert.deepEqual(message.entries[0]?.configuration?.voters, [one]);
});

test('a configuration record that holds none is refused by our own error', () => {
  const record = sealRecord(
    EMPTY_LOG_TAIL,
    { kind: 'configuration', term: term(1), eventCount: 0, payloadBytes: 3 },
    (room) => room.write('{"v'),
  );
  const request = peerMessageToProto({ group: GROUP, message: append([]), records: [record] });
  assert.throws(() => peerMessageFromProto(request), {
    code: 'INVALID_ARGUMENT',
    message: /record 1 holds no configuration/,
  });
});

const refused: readonly [
  string,
  () => readonly LogRecord[],
  Parameters<typeof append>[1]?,
  Parameters<typeof append>[2]?,
  Parameters<typeof append>[3]?,
][] = [
  ['gap between the previous index and the first record', () => chain([1, 1]).slice(1)],
  ['gap between records', () => chain([1, 1, 1]).filter((_, n) => n !== 1)],
  ['records in the wrong order', () => chain([1, 1]).reverse()],
  ['the same record twice', () => [...chain([1]), ...chain([1])]],
  ["a record of a later term than the sender's", () => chain([6])],
  ['a first record of an earlier term than the one before it', () => chain([1]), 0, 2],
  ['records of two histories', () => [...chain([1]), ...chain([2, 2]).slice(1)]],
];

for (const [what, records, previousIndex, previousTerm, inTerm] of refused) {
  test(`an append is refused: ${what}`, () => {
    const request = peerMessageToProto({
      group: GROUP,
      message: append([], previousIndex, previousTerm, inTerm),
      records: records(),
    });
    assert.throws(() => peerMessageFromProto(request), { code: 'INVALID_ARGUMENT', message: /does not follow/ });
  });
}

test('every flipped bit of a record in an append is refused by our own error', () => {
  const [record] = chain([1]);
  assert.ok(record !== undefined);
  for (let bit = 0; bit < record.bytes.byteLength * 8; bit++) {
    const bytes = Buffer.from(record.bytes);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const request = peerMessageToProto({ group: GROUP, message: append([]), records: [{ ...record, bytes }] });
    assert.throws(() => peerMessageFromProto(request), FlotillaError, `bit ${bit}`);
  }
});

test('nonsense with a right checksum in an append is refused by our own error', () => {
  const [record] = chain([1]);
  assert.ok(record !== undefined);
  // Index 2^64 - 1, with a checksum that says that this was meant.
  const bytes = Buffer.from(record.bytes);
  bytes.fill(0xff, 8, 16);
  bytes.writeUInt32LE(crc32(bytes.subarray(52), crc32(bytes.subarray(0, 48))), 48);
  assert.doesNotThrow(() => openRecord(bytes));
  const request = peerMessageToProto({ group: GROUP, message: append([]), records: [{ ...record, bytes }] });
  assert.throws(() => peerMessageFromProto(request), { code: 'INVALID_ARGUMENT' });
});

test('an unknown kind of message is refused', () => {
  assert.throws(() => peerMessageFromProto({ group: 1, message: undefined, more: [] }), { code: 'INVALID_ARGUMENT' });
});

test("a frame carries several requests, in their order, without the node's heartbeats", () => {
  const requests = messages.map((message) => peerMessageToProto({ group: GROUP, message, records: [] }));
  const bytes = proto.DeliverRequest.encode(frameOf([nodeHeartbeat(), ...requests])).finish();
  const arrived = requestsOf(decodeMessage(proto.DeliverRequest, bytes)).map(peerMessageFromProto);
  assert.deepEqual(
    arrived.map(({ message }) => message),
    messages,
  );
});

test('a frame of one request is that request', () => {
  const request = peerMessageToProto({ group: GROUP, message: { type: 'timeout-now', term: term(7) }, records: [] });
  assert.deepEqual(
    proto.DeliverRequest.encode(frameOf([request])).finish(),
    proto.DeliverRequest.encode(request).finish(),
  );
});

test('a frame within a frame is refused', () => {
  const request = peerMessageToProto({ group: GROUP, message: { type: 'timeout-now', term: term(7) }, records: [] });
  assert.throws(() => requestsOf(frameOf([request, frameOf([request, request])])), { code: 'INVALID_ARGUMENT' });
});

test('a node heartbeat is no message of a group', () => {
  assert.throws(() => peerMessageFromProto(nodeHeartbeat()), { code: 'INVALID_ARGUMENT' });
});
