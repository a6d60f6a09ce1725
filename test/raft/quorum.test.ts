import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ActorId, actorId, logIndex } from '../../src/base/index.js';
import {
  type Configuration,
  committedIndex,
  isQuorum,
  majorityOf,
  type VoteOutcome,
  voteOutcome,
} from '../../src/raft/index.js';

test('majorityOf is more than half', () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 7].map(majorityOf), [1, 2, 2, 3, 3, 4, 4]);
});

test('committedIndex is that of the table', () => {
  const table: [voters: number[], outgoing: number[], match: Record<number, number>, committed: number][] = [
    [[], [], {}, 0],
    [[1], [], { 1: 7 }, 7],
    [[1, 2], [], { 1: 7, 2: 3 }, 3],
    [[1, 2, 3], [], { 1: 9, 2: 4, 3: 2 }, 4],
    [[1, 2, 3], [], { 1: 9 }, 0],
    [[1, 2, 3, 4], [], { 1: 9, 2: 8, 3: 7, 4: 6 }, 7],
    [[1, 2, 3, 4, 5], [], { 1: 9, 2: 8, 3: 7, 4: 6, 5: 5 }, 7],
    // Joint: each half must hold it.
    [[1, 2, 3], [4, 5, 6], { 1: 9, 2: 9, 3: 9, 4: 5, 5: 5, 6: 1 }, 5],
    [[1, 2, 3], [4, 5, 6], { 1: 9, 2: 9, 3: 9 }, 0],
    [[1, 2, 3], [1, 2, 4], { 1: 9, 2: 3, 3: 9, 4: 6 }, 6],
    [[2], [1], { 1: 9, 2: 4 }, 4],
  ];
  for (const [voters, outgoing, match, committed] of table) {
    const configuration = { voters: voters.map(actorId), outgoing: outgoing.map(actorId), learners: [actorId(99)] };
    const actual = committedIndex(configuration, (actor) => logIndex(actor === 99 ? 100 : (match[actor] ?? 0)));
    assert.equal(actual, committed, `voters ${voters}, outgoing ${outgoing}`);
  }
});

test('voteOutcome is that of the table', () => {
  const table: [voters: number[], outgoing: number[], yes: number[], no: number[], outcome: VoteOutcome][] = [
    [[1], [], [1], [], 'won'],
    [[1, 2], [], [1], [], 'pending'],
    [[1, 2], [], [1], [2], 'lost'],
    [[1, 2, 3], [], [1], [2], 'pending'],
    [[1, 2, 3], [], [1, 3], [2], 'won'],
    [[1, 2, 3], [], [1], [2, 3], 'lost'],
    [[1, 2, 3, 4], [], [1, 2], [], 'pending'],
    [[1, 2, 3, 4], [], [1, 2], [3, 4], 'lost'],
    [[1, 2, 3], [4, 5, 6], [1, 2], [], 'pending'],
    [[1, 2, 3], [4, 5, 6], [1, 2, 4, 5], [3, 6], 'won'],
    [[1, 2, 3], [4, 5, 6], [1, 2, 3, 4], [5, 6], 'lost'],
    [[1, 2, 3], [4, 5, 6], [4, 5, 6], [1, 2], 'lost'],
    // A learner's vote is not counted, nor a stranger's.
    [[1, 2, 3], [], [1, 99, 42], [], 'pending'],
  ];
  for (const [voters, outgoing, yes, no, outcome] of table) {
    const configuration = { voters: voters.map(actorId), outgoing: outgoing.map(actorId), learners: [actorId(99)] };
    const granted = new Map([
      ...yes.map((actor) => [actorId(actor), true] as const),
      ...no.map((actor) => [actorId(actor), false] as const),
    ]);
    assert.equal(
      voteOutcome(configuration, granted),
      outcome,
      `voters ${voters}, outgoing ${outgoing}, yes ${yes}, no ${no}`,
    );
  }
});

const ACTORS = [1, 2, 3, 4, 5, 6, 7].map(actorId);
const actorSet = fc.uniqueArray(fc.constantFrom(...ACTORS), { maxLength: 7 });
const configurations = fc
  .record({ voters: actorSet.filter((voters) => voters.length > 0), outgoing: actorSet, learners: actorSet })
  .map((configuration): Configuration => configuration);

/** The definition: every subset of a half that is larger than the rest of it. */
function majorities(half: readonly ActorId[]): ActorId[][] {
  let subsets: ActorId[][] = [[]];
  for (const actor of half) subsets = subsets.flatMap((subset) => [subset, [...subset, actor]]);
  return subsets.filter((subset) => subset.length > half.length - subset.length);
}

function halvesOf({ voters, outgoing }: Configuration): (readonly ActorId[])[] {
  return outgoing.length === 0 ? [voters] : [voters, outgoing];
}

test('committedIndex is the highest that some majority of each half holds', () => {
  fc.assert(
    fc.property(configurations, fc.array(fc.nat(5), { minLength: 8, maxLength: 8 }), (configuration, match) => {
      const isCommitted = (index: number): boolean =>
        halvesOf(configuration).every((half) =>
          majorities(half).some((majority) => majority.every((actor) => (match[actor] ?? 0) >= index)),
        );
      const expected = [5, 4, 3, 2, 1, 0].find(isCommitted);
      assert.equal(
        committedIndex(configuration, (actor) => logIndex(match[actor] ?? 0)),
        expected,
      );
    }),
  );
});

test('a vote is won with some majority of each half, and lost when none can be reached', () => {
  fc.assert(
    fc.property(
      configurations,
      fc.array(fc.option(fc.boolean()), { minLength: 8, maxLength: 8 }),
      (configuration, answers) => {
        const granted = new Map<ActorId, boolean>();
        for (const actor of ACTORS) {
          const answer = answers[actor];
          if (answer !== null && answer !== undefined) granted.set(actor, answer);
        }
        const everyHalf = (holds: (actor: ActorId) => boolean): boolean =>
          halvesOf(configuration).every((half) => majorities(half).some((majority) => majority.every(holds)));
        const won = everyHalf((actor) => granted.get(actor) === true);
        const reachable = everyHalf((actor) => granted.get(actor) !== false);
        assert.equal(voteOutcome(configuration, granted), won ? 'won' : reachable ? 'pending' : 'lost');
        assert.equal(
          isQuorum(configuration, (actor) => granted.get(actor) === true),
          won,
        );
      },
    ),
  );
});

test('two quorums of one configuration always share a member', () => {
  fc.assert(
    fc.property(configurations, actorSet, actorSet, (configuration, left, right) => {
      const areQuorums =
        isQuorum(configuration, (actor) => left.includes(actor)) &&
        isQuorum(configuration, (actor) => right.includes(actor));
      assert.ok(!areQuorums || left.some((actor) => right.includes(actor)));
    }),
  );
});
