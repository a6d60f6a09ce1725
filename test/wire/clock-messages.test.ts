import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError } from '../../src/base/index.js';
import {
  type ClockMessage,
  clockMessageFromProto,
  clockMessageToProto,
  decodeMessage,
  frameOf,
  isAllClocks,
  nodeHeartbeat,
  peerMessageFromProto,
  proto,
} from '../../src/wire/index.js';

const QUESTION: ClockMessage = { type: 'clock-request', requestId: 1_700_000_000_001 };
const ANSWER: ClockMessage = { type: 'clock-answer', requestId: 7, utcMs: 1_700_000_000_000 };

test('questions and answers about clocks survive the wire', () => {
  for (const message of [QUESTION, ANSWER]) {
    const bytes = proto.DeliverRequest.encode(clockMessageToProto(message)).finish();
    assert.deepEqual(clockMessageFromProto(decodeMessage(proto.DeliverRequest, bytes)), message);
  }
  assert.equal(clockMessageFromProto(nodeHeartbeat()), undefined);
});

test('what is no time is refused, and what is of no group is no message of one', () => {
  const refused = (run: () => unknown): void =>
    assert.throws(run, (error: unknown) => error instanceof FlotillaError && error.code === 'INVALID_ARGUMENT');
  refused(() => clockMessageFromProto(clockMessageToProto({ ...ANSWER, utcMs: 8_640_000_000_000_001 })));
  refused(() => peerMessageFromProto(clockMessageToProto(QUESTION)));
  refused(() => peerMessageFromProto(clockMessageToProto(ANSWER)));
});

test('a frame is about clocks only where all in it is', () => {
  const [question, answer] = [clockMessageToProto(QUESTION), clockMessageToProto(ANSWER)];
  assert.equal(isAllClocks(frameOf([question, answer])), true);
  assert.equal(isAllClocks(frameOf([question, nodeHeartbeat()])), false);
  assert.equal(isAllClocks(frameOf([nodeHeartbeat(), question])), false);
});
