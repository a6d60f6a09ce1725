import type { Sink } from './read-parts.js';

/**
 * Turns what is handed to a sink into something to iterate. One part is on its
 * way at a time, and the next one is made while it is being looked at. Leaving
 * the loop aborts the signal that `run` is given, and waits for its end.
 */
export async function* pulled<Part>(
  run: (sink: Sink<Part>, signal: AbortSignal) => Promise<void>,
  signal?: AbortSignal,
): AsyncGenerator<Part, void, void> {
  const left = new AbortController();
  const parts: Part[] = [];
  let wake: () => void = () => undefined;
  let goOn: () => void = () => undefined;
  let outcome: { readonly error?: unknown } | undefined;
  const end = (ended: { readonly error?: unknown }): void => {
    outcome = ended;
    wake();
  };
  const sink: Sink<Part> = {
    send: (part) => {
      parts.push(part);
      wake();
      return new Promise((resolve) => {
        goOn = resolve;
      });
    },
  };
  const signals = signal === undefined ? [left.signal] : [signal, left.signal];
  const running = run(sink, AbortSignal.any(signals)).then(
    () => end({}),
    (error: unknown) => end({ error }),
  );
  try {
    for (;;) {
      const part = parts.shift();
      if (part !== undefined) {
        goOn();
        yield part;
      } else if (outcome === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else {
        if ('error' in outcome) throw outcome.error;
        return;
      }
    }
  } finally {
    left.abort();
    goOn();
    await running;
  }
}
