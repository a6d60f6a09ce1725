import { linkSync, mkdirSync, readFileSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 200;
/** Recovering takes milliseconds; a recovery this old has died in the middle. */
const RECOVERY_MS = 10_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/**
 * Runs `work` while no other process on this machine runs its own for the same
 * folder. The lock names its owner and the owner's children; when all of them
 * are gone it is taken over, so a killed setup never bars the next one.
 * A signal ends the children, gives the lock back and then takes its course.
 */
export async function withLock(folder, say, work) {
  mkdirSync(folder, { recursive: true });
  const lock = join(folder, 'lock');
  await acquire(lock, say);
  const children = new OwnedChildren(lock);
  let received;
  const onSignal = (signal) => {
    received ??= signal;
    children.kill(signal);
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await work(children);
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
    rmSync(lock, { force: true });
    if (received !== undefined) process.kill(process.pid, received);
  }
}

/** The programs that work under the lock, noted in it while they run. */
class OwnedChildren {
  #lock;
  #running = new Set();

  constructor(lock) {
    this.#lock = lock;
  }

  add(child) {
    this.#running.add(child);
    this.#note();
  }

  delete(child) {
    this.#running.delete(child);
    this.#note();
  }

  kill(signal) {
    for (const child of this.#running) child.kill(signal);
  }

  #note() {
    const pids = [...this.#running].map((child) => child.pid).filter((pid) => pid !== undefined);
    const next = `${this.#lock}.${process.pid}`;
    writeFileSync(next, describe([process.pid, ...pids]));
    renameSync(next, this.#lock);
  }
}

async function acquire(lock, say) {
  // Linked into place, so that a lock is never seen without its owner.
  const mine = `${lock}.${process.pid}`;
  let told = false;
  for (;;) {
    writeFileSync(mine, describe([process.pid]));
    try {
      linkSync(mine, lock);
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    } finally {
      rmSync(mine, { force: true });
    }
    const owner = read(lock);
    if (owner === undefined) continue;
    if (isGone(owner)) {
      if (removeDead(lock)) continue;
    } else if (!told) {
      told = true;
      say(
        `waiting for another setup of this folder (process ${owner.processes[0]?.pid} on ${owner.host}; its ` +
          `lock is ${lock})`,
      );
    }
    await sleep(POLL_MS);
  }
}

/** One process at a time looks again and removes: else two could each remove, the second a fresh lock. */
function removeDead(lock) {
  const recovery = `${lock}.recovery`;
  try {
    mkdirSync(recovery);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    const age = Date.now() - (statSync(recovery, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > RECOVERY_MS) rmSync(recovery, { recursive: true, force: true });
    return false;
  }
  try {
    const owner = read(lock);
    if (owner !== undefined && isGone(owner)) rmSync(lock, { force: true });
    return true;
  } finally {
    rmdirSync(recovery);
  }
}

function describe(pids) {
  return JSON.stringify({ host: hostname(), processes: pids.map((pid) => ({ pid, started: startOf(pid) })) });
}

/** The lock's owner; undefined where there is none. One that can't be read counts as gone. */
function read(lock) {
  try {
    return JSON.parse(readFileSync(lock, 'utf8'));
  } catch (error) {
    return error.code === 'ENOENT' ? undefined : { host: hostname(), processes: [] };
  }
}

function isGone(owner) {
  // Another machine's processes can't be seen from here (a folder shared over the network).
  if (owner.host !== hostname()) return false;
  return !owner.processes.some(({ pid, started }) => isRunning(pid) && startOf(pid) === started);
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Tells a process from a later one of the same number; empty where the system has no /proc. */
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 22; the name in field 2 may hold spaces.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
