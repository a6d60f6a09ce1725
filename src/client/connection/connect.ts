import { type FlotillaError, LIMITS } from '../../base/index.js';

/** How soon a node that is paused, or no longer connected, is noticed. */
export const KEEPALIVE = {
  keepaliveTimeMs: LIMITS.clientKeepaliveTimeMs,
  keepaliveTimeoutMs: LIMITS.clientKeepaliveTimeoutMs,
} as const;

/** The parts of an rpc client and of a call just made that tell how connecting went. */
interface Connecting {
  waitForReady(timeoutMs: number): Promise<void>;
}

interface StartedCall {
  readonly ended: Promise<FlotillaError | undefined>;
}

/**
 * Resolves when the connection of a call stands. Rejects with the call's own
 * failure, which comes at once where nothing listens there, or with UNREACHABLE
 * when an attempt takes too long.
 */
export async function connected(client: Connecting, call: StartedCall): Promise<void> {
  const failed = call.ended.then((error) => {
    if (error !== undefined) throw error;
  });
  const ready = client.waitForReady(LIMITS.clientConnectAttemptMs);
  // Whichever loses the race may reject later: that is no news any more.
  failed.catch(() => undefined);
  ready.catch(() => undefined);
  await Promise.race([failed, ready]);
}

/** Waits, but not beyond an abort. */
export function sleep(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, durationMs);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}
