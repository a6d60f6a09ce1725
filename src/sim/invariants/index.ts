import { type CommittedHistory, committedRecordsStay } from './committed-records-stay.js';
import type { Invariant } from './invariant.js';
import { keptEventsStay } from './kept-events-stay.js';
import { leaderCompleteness } from './leader-completeness.js';
import { leadersAreLeftInPeace } from './leaders-are-left-in-peace.js';
import { logMatching } from './log-matching.js';
import { matchIndexRises } from './match-index-rises.js';
import { membershipIsTheLogs } from './membership-is-the-logs.js';
import { oneChangeAtATime } from './one-change-at-a-time.js';
import { oneLeaderPerTerm } from './one-leader-per-term.js';
import { oneVotePerTerm } from './one-vote-per-term.js';
import { promisesAreDurable } from './promises-are-durable.js';
import { statesAreEqual } from './states-are-equal.js';
import { type TrueTime, youngEventsStay } from './young-events-stay.js';

export { CommittedHistory } from './committed-records-stay.js';
export type { Invariant } from './invariant.js';
export { Births, type TrueTime } from './young-events-stay.js';

/** Fresh ones, for one run. */
export function allInvariants(history: CommittedHistory, electionTimeoutMs: number, time: TrueTime): Invariant[] {
  return [
    oneLeaderPerTerm(),
    oneVotePerTerm(),
    logMatching(),
    committedRecordsStay(history),
    keptEventsStay(history),
    statesAreEqual(history),
    leaderCompleteness(history),
    promisesAreDurable(),
    matchIndexRises(),
    oneChangeAtATime(),
    membershipIsTheLogs(),
    leadersAreLeftInPeace(electionTimeoutMs),
    youngEventsStay(time),
  ];
}
