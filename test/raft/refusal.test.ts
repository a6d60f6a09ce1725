import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, logIndex, term } from '../../src/base/index.js';
import type { Message } from '../../src/raft/index.js';
import { Cluster } from './cluster.js';

const vote = (preVote: boolean): Message => ({
  type: 'vote-request',
  term: term(5),
  lastIndex: logIndex(9),
  lastTerm: term(4),
  preVote,
  leadershipTransfer: false,
});

test('a message of an impossible term is refused, and so is the acknowledgement of what is not there', () => {
  const cluster = new Cluster([1, 2, 3]);
  cluster.elect(1);
  const { core } = cluster.node(1);
  const ahead = (terms: number): Message => ({ ...vote(false), term: term(core.term + terms) }) as Message;
  const acknowledged = (index: number): Message => ({
    type: 'append-result',
    term: core.term,
    accepted: true,
    index: logIndex(index),
    hintIndex: logIndex(0),
    hintTerm: term(0),
  });
  const from = cluster.node(2).self;
  core.requirePlausible(from, ahead(LIMITS.termsAhead));
  assert.throws(() => core.requirePlausible(from, ahead(LIMITS.termsAhead + 1)), {
    code: 'INVALID_ARGUMENT',
    message: /term 4294967298/,
  });
  core.requirePlausible(from, acknowledged(core.lastIndex));
  assert.throws(() => core.requirePlausible(from, acknowledged(core.lastIndex + 1)), {
    code: 'INVALID_ARGUMENT',
    message: /is not in this/,
  });
});
