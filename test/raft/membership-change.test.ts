import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { actorId, FlotillaError } from '../../src/base/index.js';
import {
  type Configuration,
  changeConfiguration,
  isJoint,
  leaveJoint,
  type MemberChange,
} from '../../src/raft/index.js';

function configuration(voters: number[], outgoing: number[] = [], learners: number[] = []): Configuration {
  return { voters: voters.map(actorId), outgoing: outgoing.map(actorId), learners: learners.map(actorId) };
}

const voter = (actor: number): MemberChange => ({ actor: actorId(actor), to: 'voter' });
const learner = (actor: number): MemberChange => ({ actor: actorId(actor), to: 'learner' });
const removed = (actor: number): MemberChange => ({ actor: actorId(actor), to: 'removed' });

test('changes lead to the configuration of the table', () => {
  const table: [current: Configuration, changes: MemberChange[], next: Configuration][] = [
    [configuration([1]), [voter(2)], configuration([1, 2], [1])],
    [configuration([1]), [learner(2)], configuration([1], [], [2])],
    [configuration([1], [], [2]), [voter(2)], configuration([1, 2], [1])],
    [configuration([1, 2, 3]), [removed(3), voter(4)], configuration([1, 2, 4], [1, 2, 3])],
    [configuration([1, 2, 3]), [learner(3)], configuration([1, 2], [1, 2, 3], [3])],
    [configuration([1, 2, 3], [], [4]), [removed(4)], configuration([1, 2, 3])],
    [
      configuration([1, 2, 3]),
      [removed(1), removed(2), removed(3), voter(6), voter(5)],
      configuration([5, 6], [1, 2, 3]),
    ],
  ];
  for (const [current, changes, next] of table) assert.deepEqual(changeConfiguration(current, changes), next);
});

test('changes that make no sense are refused', () => {
  const table: [current: Configuration, changes: MemberChange[], words: RegExp][] = [
    [configuration([1, 2], [1]), [voter(3)], /another change of the members is under way/],
    [configuration([1]), [], /the members are that already/],
    [configuration([1, 2]), [voter(2)], /the members are that already/],
    [configuration([1], [], [2]), [learner(2)], /the members are that already/],
    [configuration([1]), [removed(2)], /actor 2 is no member/],
    [configuration([1]), [removed(1)], /no voter would be left/],
    [configuration([1]), [learner(1)], /no voter would be left/],
    [configuration([1]), [voter(2), removed(2)], /actor 2 is named twice/],
  ];
  for (const [current, changes, words] of table) {
    assert.throws(
      () => changeConfiguration(current, changes),
      (error) => error instanceof FlotillaError && error.code === 'INVALID_ARGUMENT' && words.test(error.message),
    );
  }
});

const ACTORS = [1, 2, 3, 4, 5, 6, 7].map(actorId);
const changesOf = fc.uniqueArray(
  fc.record({
    actor: fc.constantFrom(...ACTORS),
    to: fc.constantFrom('voter' as const, 'learner' as const, 'removed' as const),
  }),
  { selector: ({ actor }) => actor, minLength: 1, maxLength: 5 },
);

test('a change keeps the old half, and leaving it gives exactly what was asked for', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.constantFrom(...ACTORS), { minLength: 1 }), changesOf, (voters, changes) => {
      const current = { voters: [...voters].sort((a, b) => a - b), outgoing: [], learners: [] };
      let next: Configuration;
      try {
        next = changeConfiguration(current, changes);
      } catch (error) {
        assert.ok(error instanceof FlotillaError);
        return;
      }
      if (isJoint(next)) assert.deepEqual(next.outgoing, current.voters);
      const left = leaveJoint(next);
      assert.ok(!isJoint(left));
      for (const actor of ACTORS) {
        const to =
          changes.find((change) => change.actor === actor)?.to ?? (voters.includes(actor) ? 'voter' : 'removed');
        assert.equal(left.voters.includes(actor), to === 'voter');
        assert.equal(left.learners.includes(actor), to === 'learner');
      }
    }),
  );
});
