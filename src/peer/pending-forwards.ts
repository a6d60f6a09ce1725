import {
  type ActorId,
  actorId,
  counter,
  type ErrorCode,
  FlotillaError,
  isErrorCode,
  LIMITS,
  logIndex,
  term,
} from '../base/index.js';
import type { Proposed } from '../machine/index.js';
import type { proto } from '../wire/index.js';

interface Pending {
  readonly bytes: number;
  resolve(proposed: Proposed): void;
  reject(error: FlotillaError): void;
}

/** Batches that were handed to the leader over one stream, until it says what became of them. */
export class PendingForwards {
  private readonly pending = new Map<number, Pending>();
  private readonly self: ActorId;
  private bytes = 0;
  private lastId = 0;

  /** `self`: the node that hands them over. */
  constructor(self: ActorId) {
    this.self = self;
  }

  /**
   * Takes a batch in and hands its request id to `send`. Rejects with TOO_MANY_REQUESTS where too much waits already.
   */
  add(bytes: number, send: (requestId: number) => void): Promise<Proposed> {
    const full =
      this.pending.size >= LIMITS.pendingProposals ||
      (this.pending.size > 0 && this.bytes + bytes > LIMITS.pendingProposalBytes);
    if (full)
      return Promise.reject(
        new FlotillaError('TOO_MANY_REQUESTS', 'too many batches wait for the leader; nothing was proposed: try again'),
      );
    const requestId = ++this.lastId;
    const outcome = new Promise<Proposed>((resolve, reject) => this.pending.set(requestId, { bytes, resolve, reject }));
    this.bytes += bytes;
    send(requestId);
    return outcome;
  }

  /** The leader's answer to one of them. */
  settle({ requestId, outcome }: proto.ForwardResponse): void {
    const pending = this.pending.get(requestId);
    if (pending === undefined) return;
    this.pending.delete(requestId);
    this.bytes -= pending.bytes;
    if (outcome?.$case === 'proposed') {
      const { firstCounter, actorId: actor, logIndex: index, term: inTerm } = outcome.value;
      const place = { index: logIndex(index), term: term(inTerm) };
      pending.resolve({
        firstCounter: counter(firstCounter),
        actor: actor === 0 ? this.self : actorId(actor),
        ...place,
      });
    } else {
      pending.reject(
        new FlotillaError(codeOf(outcome?.value.code), outcome?.value.message ?? 'the leader answered nothing'),
      );
    }
  }

  /** The stream is lost: whatever was sent on it may have been proposed. */
  abandon(): void {
    for (const { reject } of this.pending.values()) {
      reject(
        new FlotillaError(
          'OUTCOME_UNKNOWN',
          'the link to the leader was lost before it answered: the batch may have been appended, or may still be',
        ),
      );
    }
    this.pending.clear();
    this.bytes = 0;
  }
}

/** A code of a later version says nothing here, and what is not known is not called a failure. */
function codeOf(code: string | undefined): ErrorCode {
  return code !== undefined && isErrorCode(code) ? code : 'OUTCOME_UNKNOWN';
}
