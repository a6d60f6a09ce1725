import { type ActorId, type LogIndex, logIndex } from '../base/index.js';
import type { Configuration } from './types.js';

/** What the votes counted so far decide. */
export type VoteOutcome = 'won' | 'lost' | 'pending';

/** Members needed for a majority of `size`. */
export function majorityOf(size: number): number {
  return Math.floor(size / 2) + 1;
}

/**
 * The highest index that a majority of `voters` holds; in a joint configuration,
 * a majority of each half (dissertation, section 4.3). Learners are never asked.
 * A configuration without voters commits nothing.
 */
export function committedIndex(configuration: Configuration, matchOf: (actor: ActorId) => LogIndex): LogIndex {
  const incoming = majorityIndex(configuration.voters, matchOf);
  if (configuration.outgoing.length === 0) return incoming;
  return logIndex(Math.min(incoming, majorityIndex(configuration.outgoing, matchOf)));
}

/**
 * What the votes decide. `granted` holds the voters that have answered. An election is lost as soon as a half can no
 * longer reach its majority.
 */
export function voteOutcome(configuration: Configuration, granted: ReadonlyMap<ActorId, boolean>): VoteOutcome {
  const incoming = majorityVote(configuration.voters, granted);
  if (configuration.outgoing.length === 0) return incoming;
  const outgoing = majorityVote(configuration.outgoing, granted);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';
}

/** Whether the servers for which `present` holds are a quorum. */
export function isQuorum(configuration: Configuration, present: (actor: ActorId) => boolean): boolean {
  const half = (voters: readonly ActorId[]): boolean => voters.filter(present).length >= majorityOf(voters.length);
  return half(configuration.voters) && (configuration.outgoing.length === 0 || half(configuration.outgoing));
}

function majorityIndex(voters: readonly ActorId[], matchOf: (actor: ActorId) => LogIndex): LogIndex {
  const matches = voters.map(matchOf);
  let highest = logIndex(0);
  // Asked for with every acknowledgement, of a handful of voters: counting is cheaper than sorting.
  for (const candidate of matches) {
    if (candidate <= highest) continue;
    let holders = 0;
    for (const match of matches) if (match >= candidate) holders++;
    if (holders >= majorityOf(voters.length)) highest = candidate;
  }
  return highest;
}

function majorityVote(voters: readonly ActorId[], granted: ReadonlyMap<ActorId, boolean>): VoteOutcome {
  const needed = majorityOf(voters.length);
  const yes = voters.filter((voter) => granted.get(voter) === true).length;
  if (yes >= needed) return 'won';
  const no = voters.filter((voter) => granted.get(voter) === false).length;
  return voters.length - no < needed ? 'lost' : 'pending';
}
