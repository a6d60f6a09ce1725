import { type ActorId, FlotillaError } from '../base/index.js';
import type { Command, Proposed } from '../machine/index.js';
import type { GroupParts } from './group-parts.js';
import type { IndexWaiters } from './index-waiters.js';

export interface ForwarderOptions<C extends Command> extends Pick<GroupParts, 'core' | 'clock' | 'inbox'> {
  readonly committed: IndexWaiters;
  /** Hands a command to the leader; rejects as {@link PeerTransport.forward} does. */
  readonly send: (leader: ActorId, command: C) => Promise<Proposed>;
}

/** Hands commands that this node took in to the leader. */
export class Forwarder<C extends Command> {
  private readonly options: ForwarderOptions<C>;

  constructor(options: ForwarderOptions<C>) {
    this.options = options;
  }

  /** Resolves when the command is committed and known to be so here. */
  async forward(command: C): Promise<Proposed> {
    const { core, clock, committed, inbox, send } = this.options;
    const { leader } = core;
    if (leader === undefined)
      throw new FlotillaError('NO_LEADER', 'no leader is known; nothing was proposed: try again');
    if (core.isQuiesced) inbox.post(() => core.expectLeader(clock.nowMs()));
    const proposed = await send(leader, command);
    // The leader's answer is news of the commit, sooner than any other.
    inbox.post(() => core.learnCommitted(proposed.index, proposed.term));
    await committed.reachedByProposal(proposed.index);
    return proposed;
  }
}
