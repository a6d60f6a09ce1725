import { assert, type LogIndex, type Term } from '../base/index.js';
import type { ProducerStamp } from '../event/index.js';
import { ProducerAdmission, type StampDecision } from '../machine/index.js';
import type { RaftCore } from '../raft/index.js';
import type { PackedBody } from '../wire/index.js';
import type { ProducerOpenings } from './producer-openings.js';
import type { StreamState } from './stream-state.js';

/** Asks {@link ProducerAdmission} on behalf of a leader, in each of its terms anew. */
export class ProducerDesk {
  private readonly core: RaftCore;
  private readonly stream: StreamState;
  private readonly openings: ProducerOpenings;
  private readonly admission = new ProducerAdmission();
  private term: Term | undefined;

  constructor(options: { readonly core: RaftCore; readonly stream: StreamState; readonly openings: ProducerOpenings }) {
    this.core = options.core;
    this.stream = options.stream;
    this.openings = options.openings;
  }

  decide(stamp: ProducerStamp, { count, body, checksum: bodyChecksum }: PackedBody): StampDecision {
    const { noopIndex } = this.core;
    assert(noopIndex !== undefined, 'only a leader decides');
    this.beginTerm();
    const { appliedIndex, producers } = this.stream;
    if (appliedIndex < noopIndex) return { kind: 'wait', index: noopIndex };
    const opening = this.openings.openingOf(producers.get(stamp.producer)?.name ?? '');
    if (opening !== undefined) return { kind: 'wait', index: opening };
    return this.admission.decide(stamp, { count, bodyLength: body.byteLength, bodyChecksum }, producers);
  }

  /** A stamped batch stands in the log at `index`. */
  appended(stamp: ProducerStamp, index: LogIndex): void {
    this.admission.appended(stamp, index);
  }

  /** Records up to `index` have taken effect. */
  applied(index: LogIndex): void {
    this.admission.advance(index);
  }

  private beginTerm(): void {
    if (this.term === this.core.term) return;
    this.term = this.core.term;
    this.admission.begin();
  }
}
