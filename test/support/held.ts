import { readdirSync, readlinkSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { until } from './until.js';

/**
 * How much of each kind keeps this process alive, sockets and timers among it; and its sockets, also those that don't.
 */
export function held(): Record<string, number> {
  const counts: Record<string, number> = { sockets: socketCount() };
  for (const kind of process.getActiveResourcesInfo()) {
    // What polls for this is one at times.
    if (kind !== 'Immediate') counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

/**
 * Waits, for a moment only, until this process holds no more than `before` of anything. It takes a fraction of a second
 * where the machine is not busy.
 */
export async function untilReleased(before: Readonly<Record<string, number>>): Promise<void> {
  // What dials only in a later turn of the event loop has had its chance then.
  for (let turns = 0; turns < 20; turns++) await turn();
  await until('all is released', () => Object.entries(held()).every(([kind, count]) => count <= (before[kind] ?? 0)), {
    timeoutMs: 5000,
    state: () => `before: ${JSON.stringify(before)}, now: ${JSON.stringify(held())}`,
  });
}

/** A system without this folder has only the count of what keeps the process alive. */
function socketCount(): number {
  try {
    return readdirSync('/proc/self/fd').filter((name) => isSocket(`/proc/self/fd/${name}`)).length;
  } catch {
    return 0;
  }
}

function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith('socket:');
  } catch {
    // It was the folder itself.
    return false;
  }
}
