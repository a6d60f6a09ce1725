import { setMaxListeners } from 'node:events';

type Signals = readonly (AbortSignal | undefined)[];

/**
 * Runs `read` with a signal that is aborted with the first of `signals`, and
 * lets go of these when the read is over. `AbortSignal.any` leaves something
 * behind in a signal that outlives the read, and that of a client outlives many.
 */
export async function* withSignals<Item>(
  signals: Signals,
  read: (signal: AbortSignal) => AsyncGenerator<Item, void, undefined>,
): AsyncGenerator<Item, void, undefined> {
  const linked = new AbortController();
  const removers: (() => void)[] = [];
  const release = (): void => {
    for (const each of removers.splice(0)) each();
  };
  // A read that is no longer pulled does not come to its end.
  const abort = (): void => {
    release();
    linked.abort();
  };
  for (const signal of signals) if (signal !== undefined) removers.push(listen(signal, abort));
  if (signals.some((signal) => signal?.aborted === true)) abort();
  try {
    yield* read(linked.signal);
  } finally {
    release();
  }
}

/** Many reads may share one signal: that is no leak, of which Node would warn at eleven listeners. */
function listen(signal: AbortSignal, onAbort: () => void): () => void {
  setMaxListeners(0, signal);
  signal.addEventListener('abort', onAbort, { once: true });
  return () => signal.removeEventListener('abort', onAbort);
}
