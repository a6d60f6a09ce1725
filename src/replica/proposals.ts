import { type ActorId, type Counter, counter, FlotillaError, type LogIndex, type Term } from '../base/index.js';
import type { ProducerStamp } from '../event/index.js';
import type { PackedBody } from '../wire/index.js';
import type { Proposed } from './ports.js';

/** A batch on its way into the log, and who waits for it. */
export interface Proposal {
  readonly body: PackedBody;
  readonly stamp: ProducerStamp;
  /** A majority has followed this leader since the batch arrived. */
  readonly isConfirmed: boolean;
  /** The node that took the batch in. */
  readonly actor: ActorId;
  /** Monotonic. */
  readonly arrivedMs: number;
  readonly resolve: (proposed: Proposed) => void;
  readonly reject: (error: FlotillaError) => void;
}

interface PendingEntry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly firstCounter: Counter;
  readonly proposals: readonly Proposal[];
}

/**
 * Entries that this node proposed and whose fate is open. What was proposed is
 * settled by what is committed at its index and by nothing else: neither a
 * truncation here nor a lost leadership proves that it will never commit.
 */
export class PendingProposals {
  /**
   * In the order of their proposal. After a lost leadership its successor's indexes may lie below those of the entries
   * before them.
   */
  private entries: PendingEntry[] = [];

  get isEmpty(): boolean {
    return this.entries.length === 0;
  }

  add(entry: PendingEntry): void {
    this.entries.push(entry);
  }

  /**
   * Everything up to `commitIndex` is committed; `termAt` tells which entry won each place. False where it was not
   * always the one proposed.
   */
  settle(
    commitIndex: LogIndex,
    termAt: (index: LogIndex) => Term | undefined,
    onCommitted: (proposal: Proposal) => void,
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

  /** Gives up waiting for what was proposed before `term`. */
  giveUpBefore(term: number): number {
    const old = this.entries.filter((entry) => entry.term < term);
    this.entries = this.entries.filter((entry) => entry.term >= term);
    for (const entry of old) unknown(entry);
    return old.reduce((sum, { proposals }) => sum + proposals.length, 0);
  }
}

function commit(entry: PendingEntry, onCommitted: (proposal: Proposal) => void): void {
  let firstCounter: number = entry.firstCounter;
  for (const proposal of entry.proposals) {
    const { actor } = proposal;
    proposal.resolve({ firstCounter: counter(firstCounter), actor, index: entry.index, term: entry.term });
    firstCounter += proposal.body.count;
    onCommitted(proposal);
  }
}

/** Also where a snapshot took its place, which does not tell. */
function unknown(entry: PendingEntry): void {
  for (const { reject } of entry.proposals) {
    reject(
      new FlotillaError(
        'OUTCOME_UNKNOWN',
        'leadership was lost after the batch was proposed: it may have been appended, or may still be',
      ),
    );
  }
}

/** Another leader's entry is committed in this place, so this one never will be. */
function replaced(entry: PendingEntry): void {
  for (const { reject } of entry.proposals) {
    reject(
      new FlotillaError(
        'NOT_LEADER',
        'leadership was lost and another entry took the place of the batch: it was not appended; send it again',
      ),
    );
  }
}
