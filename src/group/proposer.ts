import { FlotillaError, LIMITS, type LogIndex } from '../base/index.js';
import { type Command, type Proposed, refusalOfKind, type StateMachine, traitsOf } from '../machine/index.js';
import { isVoter } from '../raft/index.js';
import type { AdmissionQueue } from './admission-queue.js';
import type { Entries } from './entries.js';
import type { Forwarder } from './forwarder.js';
import type { SharedOptions } from './group-options.js';
import type { GroupParts } from './group-parts.js';
import type { TimeStamp } from './group-time.js';
import { PendingProposals, type Proposal } from './proposals.js';
import { notLeader, refusalUnderPressure, stopping } from './refusals.js';

export interface ProposerOptions<C extends Command, M extends StateMachine>
  extends Pick<GroupParts, 'self' | 'core' | 'clock' | 'inbox' | 'observer'>,
    Pick<SharedOptions, 'activeVersion'> {
  readonly entries: Entries<C>;
  readonly queue: AdmissionQueue<C, M>;
  readonly forwarder: Forwarder<C>;
}

/**
 * Takes commands into the leader's log, and tells what became of them. Those of a shared kind that arrive within one
 * turn of the event loop share an entry; nothing waits for more to come.
 */
export class Proposer<C extends Command, M extends StateMachine> {
  private readonly options: ProposerOptions<C, M>;
  private readonly pending = new PendingProposals<C>();
  /** Commands whose fate is open, in the log or on their way there. */
  private openCommands = 0;
  private openBytes = 0;
  private flushPlanned = false;
  private isHandingOver = false;
  /** Leadership was handed over, and the next leader is not known yet: commands of this node wait for it. */
  private awaitsSuccessor = false;
  private isLeaving = false;
  private stopped = false;

  constructor(options: ProposerOptions<C, M>) {
    this.options = options;
  }

  /** Whether a command of this node is for {@link propose}, rather than to be passed on. */
  get takesOwn(): boolean {
    return this.options.core.role === 'leader' || this.awaitsSuccessor;
  }

  /**
   * Resolves when the command is committed. Rejects with NOT_LEADER, SHUTTING_DOWN, TOO_MANY_REQUESTS,
   * DISK_NEARLY_FULL or UPGRADE_NEEDED where it was certainly not proposed, with OUTCOME_UNKNOWN where that can't be
   * said, and as the state machine refuses it.
   */
  propose(command: C): Promise<Proposed> {
    return new Promise((resolve, reject) => {
      const refusal = this.refusalOf(command);
      if (refusal !== undefined) return reject(refusal);
      const { payloadBytes } = command;
      this.openCommands++;
      this.openBytes += payloadBytes;
      const close = (): void => {
        this.openCommands--;
        this.openBytes -= payloadBytes;
      };
      this.options.queue.push({
        command,
        isConfirmed: false,
        arrivedMs: this.options.clock.nowMs(),
        resolve: (proposed) => {
          close();
          resolve(proposed);
        },
        reject: (error) => {
          close();
          reject(error);
        },
      });
      this.planFlush();
    });
  }

  private refusalOf(command: C): FlotillaError | undefined {
    const { core, self, activeVersion } = this.options;
    if (this.stopped) return stopping();
    if (core.role !== 'leader' && !(this.awaitsSuccessor && command.actor === self)) return notLeader();
    const refusal = this.pressureRefusal(command) ?? refusalOfKind(command.kind, activeVersion.current);
    if (refusal !== undefined) return refusal;
    if (
      this.openCommands < LIMITS.pendingProposals &&
      this.openBytes + command.payloadBytes <= LIMITS.pendingProposalBytes
    )
      return undefined;
    return new FlotillaError('TOO_MANY_REQUESTS', 'too much waits for its commit; nothing was proposed: try again');
  }

  private pressureRefusal({ kind }: C): FlotillaError | undefined {
    if (traitsOf(kind).isTakenUnderPressure === true) return undefined;
    const refusal = refusalUnderPressure(this.options.core);
    // Leadership may be on its way to a node with more space, and the other nodes are asked how their disks stand.
    if (refusal !== undefined) this.planFlush();
    return refusal;
  }

  private planFlush(): void {
    if (this.flushPlanned) return;
    this.flushPlanned = true;
    this.options.clock.soon(() => {
      this.flushPlanned = false;
      this.options.inbox.post();
    });
  }

  /**
   * Turns what waits into entries, as long as the disk keeps up; the rest follows when a write has ended. While
   * leadership is handed over all of it waits, and then goes to the successor, so that none of it is refused.
   */
  flush(): void {
    const { core, queue, entries, clock } = this.options;
    if (core.role !== 'leader') return;
    const wasHandingOver = this.isHandingOver;
    this.isHandingOver = core.isHandingOver;
    if (this.isHandingOver) return;
    if (wasHandingOver && this.isLeaving) this.refuseWaiting(stopping());
    if (this.flushPlanned) return;
    while (!queue.isEmpty && entries.diskKeepsUp) {
      const first = queue.next();
      if (first === undefined) return;
      const refusal = this.pressureRefusal(first.command);
      if (refusal !== undefined) {
        queue.refuse(first, refusal);
        continue;
      }
      const stamp = entries.stampFor(first.command);
      // A new leader that has not seen the clocks of a majority yet can't tell what time it is: it takes a round trip.
      if (stamp === 'awaited') return;
      const index = core.propose(clock.nowMs());
      if (index === undefined) this.refuseWaiting(notLeader());
      else this.append(index, this.takeEntry(first, index), stamp);
    }
  }

  /** What fits into one entry: at least one command, and more where they share it. */
  private takeEntry(first: Proposal<C>, index: LogIndex): Proposal<C>[] {
    const { queue } = this.options;
    const { kind } = first.command;
    const taken: Proposal<C>[] = [];
    let bytes = 0;
    for (let next: Proposal<C> | undefined = first; next !== undefined; next = queue.next()) {
      bytes += next.command.payloadBytes;
      if (taken.length > 0 && (next.command.kind !== kind || bytes > LIMITS.entryBytes)) break;
      taken.push(next);
      queue.appended(next, index);
      if (traitsOf(kind).isShared !== true) break;
    }
    return taken;
  }

  private append(index: LogIndex, proposals: readonly Proposal<C>[], stamp: TimeStamp | undefined): void {
    const { core, entries } = this.options;
    const { firstCounter } = entries.seal(
      proposals.map(({ command }) => command),
      stamp,
    );
    this.pending.add({ index, term: core.term, firstCounter, proposals });
  }

  /** Records up to `index` have taken effect: more can be decided. */
  applied(index: LogIndex): void {
    if (this.options.queue.applied(index)) this.planFlush();
  }

  committed(index: LogIndex): void {
    const { core, clock, observer } = this.options;
    const nowMs = clock.nowMs();
    const areAllCommitted = this.pending.settle(
      index,
      (place) => core.termAt(place),
      ({ command, arrivedMs }) => {
        if (command.eventCount > 0) observer.committed((nowMs - arrivedMs) / 1000);
      },
    );
    if (!areAllCommitted) this.refuseWaiting(notLeader());
  }

  /** `lost`: this node led, and that term is over. */
  roleChanged(lost: boolean): void {
    const { core } = this.options;
    if (lost) this.leadershipLost();
    if (core.role === 'leader') this.awaitsSuccessor = false;
    else if (this.awaitsSuccessor && core.leader !== undefined) this.passOn();
  }

  /**
   * What is in the log may still be committed by the next leader; for a while that is waited for. What is not, never
   * was proposed.
   */
  private leadershipLost(): void {
    const { core, self, clock, queue } = this.options;
    // Nothing may overtake what came before it and is open. And a node that votes no more hears of no successor.
    const isAllSettled = this.pending.isEmpty && !queue.hasDeferred;
    this.awaitsSuccessor = this.isHandingOver && isAllSettled && isVoter(core.configuration, self);
    this.isHandingOver = false;
    this.refuseWaiting(notLeader(), ({ command }) => !this.awaitsSuccessor || command.actor !== self);
    clock.after(LIMITS.outcomeWaitMs, () => {
      if (this.stopped) return;
      this.awaitsSuccessor = false;
      if (core.role !== 'leader') this.refuseWaiting(notLeader());
      this.giveUpBefore(core.role === 'leader' ? core.term : Number.POSITIVE_INFINITY);
    });
  }

  private passOn(): void {
    const { queue, forwarder } = this.options;
    this.awaitsSuccessor = false;
    for (const { command, resolve, reject } of queue.drain()) forwarder.forward(command).then(resolve, reject);
  }

  /** The node is about to stop: what waits for a successor that does not come has no other chance here. */
  leave(): void {
    this.isLeaving = true;
  }

  stop(): void {
    this.stopped = true;
    this.refuseWaiting(stopping());
    this.giveUpBefore(Number.POSITIVE_INFINITY);
  }

  private giveUpBefore(term: number): void {
    const unknown = this.pending.giveUpBefore(term);
    if (unknown > 0) this.options.observer.outcomeUnknown(unknown);
  }

  /** None of them was proposed. */
  private refuseWaiting(why: FlotillaError, isRefused: (proposal: Proposal<C>) => boolean = () => true): void {
    const { queue } = this.options;
    for (const proposal of queue.drain()) {
      if (isRefused(proposal)) {
        proposal.reject(why);
        continue;
      }
      queue.push(proposal);
      this.planFlush();
    }
  }
}
