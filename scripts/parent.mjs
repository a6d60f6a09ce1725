import { readFileSync } from 'node:fs';

const POLL_MS = 500;

/**
 * Calls back once when whoever started this process is gone. Under npm there
 * is a shell in between, which does not hand signals on and outlives a killed
 * npm: so the parent's parent is watched too, where the system tells (Linux).
 */
export function onParentGone(callback) {
  const underNpm = process.env.npm_lifecycle_event !== undefined;
  const lineage = () => `${process.ppid} ${underNpm ? parentOf(process.ppid) : ''}`;
  const first = lineage();
  const watch = setInterval(() => {
    if (lineage() === first) return;
    clearInterval(watch);
    callback();
  }, POLL_MS);
  watch.unref();
}

function parentOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // Field 4; the name in field 2 may hold spaces.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
  } catch {
    return '';
  }
}
