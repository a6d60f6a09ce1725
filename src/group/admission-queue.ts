import { assert, BoundedQueue, FlotillaError, LIMITS, type LogIndex, messageOf, type Term } from '../base/index.js';
import type { Admission, Command, Decision, MachineKind, Proposed, StateMachine } from '../machine/index.js';
import type { AppliedState } from './applied-state.js';
import type { GroupParts } from './group-parts.js';
import type { Proposal } from './proposals.js';
import type { ReadIndexes } from './read-indexes.js';
import { notLeader, stopping } from './refusals.js';

export interface AdmissionQueueOptions<C extends Command, M extends StateMachine>
  extends Pick<GroupParts, 'core' | 'inbox' | 'observer'> {
  readonly kind: MachineKind<C, M>;
  readonly state: AppliedState<M>;
  readonly readIndexes: ReadIndexes;
}

/**
 * Commands that have no place in the leader's log yet, in the order in which they came. The state machine admits
 * them: it lets one in, or answers or refuses it without, or has it wait for a record that is to take effect first.
 */
export class AdmissionQueue<C extends Command, M extends StateMachine> {
  private readonly options: AdmissionQueueOptions<C, M>;
  private readonly waiting = new BoundedQueue<Proposal<C>>(LIMITS.pendingProposals);
  /** They can be decided about when a record has taken effect. */
  private deferred: { readonly proposal: Proposal<C>; readonly index: LogIndex }[] = [];
  private admission: Admission<C, M>;
  private term: Term | undefined;

  constructor(options: AdmissionQueueOptions<C, M>) {
    this.options = options;
    this.admission = options.kind.admission();
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0;
  }

  /** Whether commands wait because their answer depends on what is not committed. */
  get hasDeferred(): boolean {
    return this.deferred.length > 0;
  }

  push(proposal: Proposal<C>): void {
    assert(this.waiting.push(proposal), 'no more wait than are open');
  }

  /** The first that is to have a place in the log. Those before it get their answer without one, or wait elsewhere. */
  next(): Proposal<C> | undefined {
    for (let next = this.waiting.peek(); next !== undefined; next = this.waiting.peek()) {
      const decision = this.decide(next);
      if (decision.kind === 'append') return next;
      this.waiting.shift();
      if (decision.kind === 'wait') this.deferred.push({ proposal: next, index: decision.index });
      else if (decision.kind === 'known') this.answerAgain(next, decision.place);
      else if (decision.isCertain || next.isConfirmed) next.reject(decision.error);
      else void this.confirm(next);
    }
    return undefined;
  }

  /** What {@link next} has returned stands in the log at `index`. */
  appended(proposal: Proposal<C>, index: LogIndex): void {
    this.waiting.shift();
    this.admission.appended(proposal.command, index);
  }

  /** What {@link next} has returned is not appended. */
  refuse(proposal: Proposal<C>, error: FlotillaError): void {
    this.waiting.shift();
    proposal.reject(error);
  }

  /** Records up to `index` have taken effect. True where more can be decided by that. */
  applied(index: LogIndex): boolean {
    this.admission.applied(index);
    if (!this.deferred.some((each) => each.index <= index)) return false;
    const ready = this.deferred.filter((each) => each.index <= index);
    this.deferred = this.deferred.filter((each) => each.index > index);
    // They came before what waits now.
    for (const proposal of [...ready.map((each) => each.proposal), ...this.waiting.drain()]) this.push(proposal);
    return true;
  }

  /** Everything that has no place in the log: what was not looked at yet, and what waits for what may never commit. */
  drain(): Proposal<C>[] {
    return [...this.deferred.splice(0).map(({ proposal }) => proposal), ...this.waiting.drain()];
  }

  private decide({ command }: Proposal<C>): Decision {
    const { core, kind, state } = this.options;
    if (this.term !== core.term) {
      this.term = core.term;
      this.admission = kind.admission();
    }
    if (command.isUnconditional === true || core.role !== 'leader') return { kind: 'append' };
    const { noopIndex } = core;
    assert(noopIndex !== undefined, 'a leader has appended its no-op');
    // Before that it does not know all that is committed.
    if (state.appliedIndex < noopIndex) return { kind: 'wait', index: noopIndex };
    return this.admission.decide(command, state.machine);
  }

  /** That something is not there is certain once a majority confirms this leader. Then it is decided again. */
  private async confirm(proposal: Proposal<C>): Promise<void> {
    const { core, inbox, readIndexes } = this.options;
    try {
      const index = await readIndexes.confirm();
      if (core.role !== 'leader') return proposal.reject(notLeader());
      const confirmed = { ...proposal, isConfirmed: true };
      // It may have come to an end between the answer and now.
      if (!inbox.post(() => this.deferred.push({ proposal: confirmed, index }))) proposal.reject(stopping());
    } catch (cause) {
      const message = `the leader could not confirm that it still leads; nothing was proposed: ${messageOf(cause)}`;
      proposal.reject(new FlotillaError(cause instanceof FlotillaError ? cause.code : 'INTERNAL', message, { cause }));
    }
  }

  private answerAgain({ resolve }: Proposal<C>, { firstCounter, actor, index, term }: Proposed): void {
    this.options.observer.knownAgain?.();
    resolve({ firstCounter, actor, index, term });
  }
}
