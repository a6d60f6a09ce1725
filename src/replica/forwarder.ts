import { FlotillaError, type GroupId } from '../base/index.js';
import type { ProducerStamp } from '../event/index.js';
import type { RaftCore } from '../raft/index.js';
import type { PackedBody } from '../wire/index.js';
import type { CommitWaiters } from './commit-waiters.js';
import type { Clock, PeerTransport, Proposed } from './ports.js';

export interface ForwarderOptions {
  readonly group: GroupId;
  readonly core: RaftCore;
  readonly clock: Clock;
  readonly transport: PeerTransport;
  readonly commitWaiters: CommitWaiters;
  /** Lets consensus take something in. */
  readonly input: (take: () => unknown) => void;
}

/** Hands batches that this node took in to whoever leads. */
export class Forwarder {
  private readonly options: ForwarderOptions;

  constructor(options: ForwarderOptions) {
    this.options = options;
  }

  /** Resolves when the batch is committed and this node can serve it. Rejects as {@link PeerTransport.forward} does. */
  async forward(body: PackedBody, stamp: ProducerStamp): Promise<Proposed> {
    const { group, core, clock, transport, commitWaiters, input } = this.options;
    const { leader } = core;
    if (leader === undefined)
      throw new FlotillaError('NO_LEADER', 'no leader is known; the batch was not proposed: try again');
    if (core.isQuiesced) input(() => core.expectLeader(clock.nowMs()));
    const proposed = await transport.forward(leader, group, body, stamp);
    // The leader's answer is news of the commit, sooner than any other.
    input(() => core.learnCommitted(proposed.index, proposed.term));
    await commitWaiters.servable(proposed.index);
    return proposed;
  }
}
