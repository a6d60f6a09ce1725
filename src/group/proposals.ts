import type { Counter } from '../base/index.js';
import { counter, FlotillaError, type LogIndex, type Term } from '../base/index.js';
import type { Command, Proposed } from '../machine/index.js';

/** A command on its way into the log, and its proposer, which waits for the outcome. */
export interface Proposal<C extends Command> {
  readonly command: C;
  /** A majority has followed this leader since the command arrived. */
  readonly isConfirmed: boolean;
  /** Monotonic. */
  readonly arrivedMs: number;
  readonly resolve: (proposed: Proposed) => void;
  readonly reject: (error: FlotillaError) => void;
}

interface PendingEntry<C extends Command> {
  readonly index: LogIndex;
  readonly term: Term;
  readonly firstCounter: Counter;
  readonly proposals: readonly Proposal<C>[];
}

/**
 * Entries that this node proposed and whose fate is open. What was proposed is
 * settled by what is committed at its index and by nothing else: neither a
 * truncation here nor a lost leadership proves that it will never commit.
 */
export class PendingProposals<C extends Command> {
  /**
   * In the order of their proposal. After a lost leadership its successor's indexes may lie below those of the entries
   * before them.
   */
  private entries: PendingEntry<C>[] = [];

  get isEmpty(): boolean {
    return this.entries.length === 0;
  }

  add(entry: PendingEntry<C>): void {
    this.entries.push(entry);
  }

  /**
   * Everything up to `commitIndex` is committed; `termAt` tells which entry won each place. False where it was not
   * always the one proposed.
   */
  settle(
    commitIndex: LogIndex,
    termAt: (index: LogIndex) => Term | undefined,
    onCommitted: (proposal: Proposal<C>) => void,
  ): boolean {
    const decided = this.entries.filter(({ index }) => index <= commitIndex);
    if (decided.length === 0) return true;
    this.entries = this.entries.filter(({ index }) => index > commitIndex);
    let areAllCommitted = true;
    for (const entry of decided) {
      const term = termAt(entry.index);
      if (term === entry.term) commit(entry, onCommitted);
      else if (term === undefined) unknown(entry);
      else replaced(entry);
      areAllCommitted &&= term === entry.term;
    }
    return areAllCommitted;
  }

  /** Gives up waiting for what was proposed before `term`; returns how many commands that were. */
  giveUpBefore(term: number): number {
    const old = this.entries.filter((entry) => entry.term < term);
    this.entries = this.entries.filter((entry) => entry.term >= term);
    for (const entry of old) unknown(entry);
    return old.reduce((sum, { proposals }) => sum + proposals.length, 0);
  }
}

function commit<C extends Command>(entry: PendingEntry<C>, onCommitted: (proposal: Proposal<C>) => void): void {
  let firstCounter: number = entry.firstCounter;
  for (const proposal of entry.proposals) {
    const { actor, eventCount } = proposal.command;
    proposal.resolve({ firstCounter: counter(firstCounter), actor, index: entry.index, term: entry.term });
    firstCounter += eventCount;
    onCommitted(proposal);
  }
}

/** Also where a snapshot took its place, which does not tell. */
function unknown<C extends Command>(entry: PendingEntry<C>): void {
  for (const { reject } of entry.proposals) {
    reject(
      new FlotillaError(
        'OUTCOME_UNKNOWN',
        'leadership was lost after the proposal: what was proposed may have been appended, or may still be',
      ),
    );
  }
}

/** Another leader's entry is committed in this place, so this one never will be. */
function replaced<C extends Command>(entry: PendingEntry<C>): void {
  for (const { reject } of entry.proposals) {
    reject(
      new FlotillaError(
        'NOT_LEADER',
        'leadership was lost and another entry took the place of the proposal: it was not appended; send it again',
      ),
    );
  }
}
