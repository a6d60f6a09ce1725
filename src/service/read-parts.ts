import type { Event, EventId } from '../event/index.js';

/** What a reader gets, in this order: `started` first, and `caught-up` once, only in a tail. */
export type ReadPart =
  | ReadStarted
  | { readonly kind: 'events'; readonly events: readonly Event[] }
  /** Whole batches as they are stored, see `readBatch`; only where a reader takes them so. */
  | { readonly kind: 'batches'; readonly batches: readonly Uint8Array[] }
  /** Events of many batches, see `GatheredEvents`; only where a reader takes batches as they are stored. */
  | { readonly kind: 'gathered'; readonly gathered: readonly Uint8Array[] }
  | { readonly kind: 'caught-up' };

/** What a read stands on. */
export interface ReadStarted {
  readonly kind: 'started';
  readonly incarnation: string;
  /** The last event that was committed when the read began; undefined where there was none. */
  readonly endId: EventId | undefined;
  /** Whether a majority confirmed that end. */
  readonly confirmed: boolean;
}

/** The reader, which takes at its own pace. */
export interface Sink<Part> {
  /**
   * Undefined where the next part may follow at once, else a promise of that.
   * Rejects with CANCELLED when the reader is gone.
   */
  send(part: Part): Promise<void> | undefined;
}

export type ReadSink = Sink<ReadPart>;
