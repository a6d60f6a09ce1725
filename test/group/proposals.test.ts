import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, counter, type LogIndex, logIndex, type Term, term } from '../../src/base/index.js';
import { PendingProposals, type Proposal as Proposing } from '../../src/group/proposals.js';
import type { Command, Proposed } from '../../src/machine/index.js';
import { fateOf } from '../support/group-parts.js';

type Proposal = Proposing<Command>;

function proposal(count: number): { proposal: Proposal; fate: ReturnType<typeof fateOf<Proposed>> } {
  let settlers: Pick<Proposal, 'resolve' | 'reject'> | undefined;
  const promise = new Promise<Proposed>((resolve, reject) => {
    settlers = { resolve, reject };
  });
  assert.ok(settlers !== undefined);
  return {
    proposal: {
      command: { kind: 'events', actor: actorId(1), payloadBytes: 8, eventCount: count },
      isConfirmed: false,
      arrivedMs: 0,
      ...settlers,
    },
    fate: fateOf(promise),
  };
}

function entry(
  index: number,
  entryTerm: number,
  firstCounter: number,
  ...proposals: Proposal[]
): Parameters<PendingProposals<Command>['add']>[0] {
  return { index: logIndex(index), term: term(entryTerm), firstCounter: counter(firstCounter), proposals };
}

const termsOf =
  (terms: Record<number, number>) =>
  (index: LogIndex): Term =>
    term(terms[index] ?? 0);

const ignore = (): void => undefined;

/** Lets the promises' handlers run. */
const handled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('settle gives each batch of an entry its first counter', async () => {
  const pending = new PendingProposals<Command>();
  const [first, second] = [proposal(3), proposal(2)];
  pending.add(entry(7, 2, 11, first.proposal, second.proposal));
  pending.settle(logIndex(6), termsOf({ 7: 2 }), ignore);
  await handled();
  assert.equal(first.fate.state, 'pending');
  let settled = 0;
  pending.settle(logIndex(7), termsOf({ 7: 2 }), () => settled++);
  await handled();
  assert.deepEqual(first.fate.value, { firstCounter: 11, actor: 1, index: 7, term: 2 });
  assert.deepEqual(second.fate.value, { firstCounter: 14, actor: 1, index: 7, term: 2 });
  assert.equal(settled, 2);
});

test('settle refuses an entry where that of another leader took its place', async () => {
  const pending = new PendingProposals<Command>();
  const lost = proposal(1);
  pending.add(entry(7, 2, 11, lost.proposal));
  pending.settle(logIndex(9), termsOf({ 7: 3 }), ignore);
  await handled();
  assert.equal(lost.fate.code, 'NOT_LEADER');
});

test('settle finds the new entries behind older ones of a lost leadership that reach further', async () => {
  const pending = new PendingProposals<Command>();
  const old = [7, 8, 9].map((index) => {
    const made = proposal(1);
    pending.add(entry(index, 2, index, made.proposal));
    return made.fate;
  });
  // Leader again in term 4, with a log that ends at 7.
  const renewed = proposal(1);
  pending.add(entry(8, 4, 8, renewed.proposal));
  pending.settle(logIndex(8), termsOf({ 7: 2, 8: 4 }), ignore);
  await handled();
  assert.equal(renewed.fate.state, 'resolved', 'committed, whatever is still open above it');
  assert.deepEqual(
    old.map(({ state, code }) => code ?? state),
    ['resolved', 'NOT_LEADER', 'pending'],
  );
});

test('giveUpBefore calls the outcome of older proposals unknown, never failed', async () => {
  const pending = new PendingProposals<Command>();
  const [old, young] = [proposal(1), proposal(1)];
  pending.add(entry(7, 2, 11, old.proposal));
  pending.add(entry(8, 4, 12, young.proposal));
  assert.equal(pending.giveUpBefore(4), 1);
  await handled();
  assert.equal(old.fate.code, 'OUTCOME_UNKNOWN');
  assert.equal(young.fate.state, 'pending');
});
