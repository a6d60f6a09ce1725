import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/** How often a node that npm started looks whether npm is still there. */
const PARENT_CHECK_MS = 500;

/**
 * A terminal sends Ctrl-C to npm and to the node, and npm hands it on: the same
 * signal again within this time is not a second wish.
 */
const FORWARDED_SIGNAL_MS = 250;

export interface StopRequests {
  /** Resolves at the first request, with its reason in words. */
  readonly first: Promise<string>;
}

/**
 * Everything that asks a server to stop: SIGTERM and SIGINT alike, SIGHUP
 * (unless `onHangUp` takes it), and the end of the launcher: its IPC channel
 * closes, or npm is no longer the parent. A second signal ends the process at
 * once, with 128 + its number. SIGUSR1 asks for nothing.
 */
export function watchStopRequests(options: { readonly onHangUp?: (() => void) | undefined } = {}): StopRequests {
  const launched = startedByNpm() || process.channel !== undefined;
  let ask: (reason: string) => void = () => undefined;
  const first = new Promise<string>((resolve) => {
    ask = resolve;
  });
  let lastSignalMs: number | undefined;
  const onSignal = (signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP'): void => {
    const nowMs = performance.now();
    if (lastSignalMs !== undefined && !(launched && nowMs - lastSignalMs < FORWARDED_SIGNAL_MS))
      process.exit(128 + constants.signals[signal]);
    lastSignalMs ??= nowMs;
    ask(signal);
  };
  // At this signal Node.js opens the port of its debugger, to every user of the host.
  process.on('SIGUSR1', () => undefined);
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('SIGHUP', options.onHangUp ?? onSignal);
  process.on('disconnect', () => ask('the process that started this node closed its channel'));
  if (startedByNpm()) watchParent(() => ask('npm, which started this node, has ended'));
  return { first };
}

/** A client command ends with the npm that started it, as by the SIGTERM that npm's shell keeps to itself. */
export function endWithNpm(): void {
  if (startedByNpm()) watchParent(() => process.exit(128 + constants.signals.SIGTERM));
}

function startedByNpm(): boolean {
  const { npm_lifecycle_event: lifecycleEvent, npm_execpath: execPath } = process.env;
  return lifecycleEvent !== undefined || execPath !== undefined;
}

/**
 * npm hands SIGTERM on to a shell, which may not, and which outlives a killed
 * npm: so the parent's parent is watched too, where the system tells (Linux).
 */
function watchParent(onGone: () => void): void {
  const first = lineage();
  const timer = setInterval(() => {
    if (lineage() === first) return;
    clearInterval(timer);
    onGone();
  }, PARENT_CHECK_MS);
  timer.unref();
}

function lineage(): string {
  return `${process.ppid} ${parentOf(process.ppid)}`;
}

/** Field 4 of /proc/PID/stat; the name in field 2 may hold spaces. */
function parentOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? '';
  } catch {
    // No such system file, or the parent is just gone: its own id tells the rest.
    return '';
  }
}
