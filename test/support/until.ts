import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** Generous: these tests share a slow machine with everything else that runs on it. */
export const DEADLINE_MS = 60_000;

const POLL_MS = 40;

export interface UntilOptions {
  readonly timeoutMs?: number;
  /** Told where it was in vain: what the condition saw last. */
  readonly state?: () => string;
}

/**
 * Polls until `condition` answers with something other than false or undefined, and returns that. Fails, saying `what`,
 * at the deadline.
 */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  options: UntilOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const { timeoutMs = DEADLINE_MS, state = () => '' } = options;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await condition();
    if (found !== false && found !== undefined) return found as Exclude<T, false | undefined>;
    if (performance.now() > deadline) assert.fail(`waited ${timeoutMs} ms in vain until ${what}\n${state()}`);
    await sleep(POLL_MS);
  }
}
