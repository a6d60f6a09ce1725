import { FlotillaError } from '../base/index.js';
import { compileGlob, type EventId, parseEventId } from '../event/index.js';

/** What to read of a stream, and how. */
export interface ReadOptions {
  /** Namespaces to read; without it everything but the system's (`/**​/*`). */
  readonly glob?: string | undefined;
  /** Begin with the first event after this id (25 digits, or `counter.actor`); without it from the start. */
  readonly startAfter?: string | undefined;
  /** End after so many events; none or 0: no limit. */
  readonly limit?: number | undefined;
  /** Go on with new events instead of ending where the stream ended when the read began. */
  readonly tail?: boolean | undefined;
  /**
   * How sure the end must be. Without it: confirmed with a majority where that
   * can be had; `onStarted` tells. `confirmed`: else the read fails with
   * NO_LEADER. `local`: what the node at hand knows to be committed.
   */
  readonly consistency?: 'confirmed' | 'local' | undefined;
  /** What the read stands on; once, before the first event. */
  readonly onStarted?: ((started: ReadStarted) => void) | undefined;
  /** Only in a tail, once: everything there was at its start has been delivered. */
  readonly onCaughtUp?: (() => void) | undefined;
  /** The connection was lost, or its node refused; the read goes on elsewhere. */
  readonly onReconnect?: ((cause: FlotillaError) => void) | undefined;
  /** Ends the read with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

export interface ReadStarted {
  /** Whether a majority confirmed the end. */
  readonly confirmed: boolean;
  /** Id of the last event there was when the read began; undefined for an empty stream. */
  readonly endId: string | undefined;
  /** The stream's incarnation. */
  readonly incarnation: string;
}

export interface CheckedReadOptions extends ReadOptions {
  readonly startAfterId: EventId | undefined;
  readonly limit: number;
}

/** Throws INVALID_ARGUMENT, which names the option. */
export function checkReadOptions(options: ReadOptions): CheckedReadOptions {
  const { glob, startAfter, limit = 0, consistency } = options;
  if (glob !== undefined) compileGlob(glob, 'glob');
  if (!Number.isSafeInteger(limit) || limit < 0) {
    throw new FlotillaError('INVALID_ARGUMENT', `limit: ${String(limit)} is not a number of events; write 0 or more`);
  }
  if (consistency !== undefined && consistency !== 'confirmed' && consistency !== 'local') {
    throw new FlotillaError('INVALID_ARGUMENT', `consistency: ${String(consistency)} is not known; write "confirmed" or "local"`);
  }
  return { ...options, limit, startAfterId: startAfter === undefined ? undefined : parseEventId(startAfter, 'startAfter') };
}
