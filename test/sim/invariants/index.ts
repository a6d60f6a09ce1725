import { committedEntriesStay } from './committed-entries-stay.js';
import { committedIsDurable } from './committed-is-durable.js';
import type { Invariant } from './invariant.js';
import { logMatching } from './log-matching.js';
import { nothingGoesBack } from './nothing-goes-back.js';
import { oneLeaderPerTerm } from './one-leader-per-term.js';
import { oneVotePerTerm } from './one-vote-per-term.js';
import { promisesAreDurable } from './promises-are-durable.js';
import { readsAreLinearizable } from './reads-are-linearizable.js';

export type { ClusterView, Invariant, ServerView } from './invariant.js';
export { Violation } from './invariant.js';

/** Fresh ones, for one run. */
export function allInvariants(): Invariant[] {
  return [
    oneLeaderPerTerm(),
    oneVotePerTerm(),
    logMatching(),
    committedEntriesStay(),
    committedIsDurable(),
    promisesAreDurable(),
    nothingGoesBack(),
    readsAreLinearizable(),
  ];
}
