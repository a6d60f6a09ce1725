import { readFileSync, write } from 'node:fs';
import { appendFile } from 'node:fs/promises';
import type { Debugger } from 'node:inspector';
import { isatty } from 'node:tty';
import { promisify } from 'node:util';
import { workerData } from 'node:worker_threads';
import { messageOf } from '../base/index.js';
import { Standstill, type ThreadActivity } from './standstill.js';
import { DEBUGGED, GREETINGS, type WatchdogData } from './watchdog.js';
import { within } from './within.js';

/** How long the other thread's JavaScript is waited for; it is stopped at its next function call or turn of a loop. */
const STACK_WAIT_MS = 2_000;
/** How long the last words may take: whoever reads them may have stalled, too. */
const REPORT_WAIT_MS = 1_000;
const STACK_FRAMES = 32;
/** Linux counts processor time for programs in hundredths of a second, on all its machines. */
const CLOCK_TICK_MS = 10;

const data = workerData as WatchdogData;
const standstill = new Standstill(data.tickMs);

/** The main thread's id is the process's. */
const MAIN_THREAD = `/proc/self/task/${process.pid}`;

const ticking = setInterval(() => {
  // Whoever debugs the process stops it at will, and sees where it is.
  if (Atomics.load(data.shared, DEBUGGED) !== 0) return;
  const stoodMs = standstill.tick(Atomics.load(data.shared, GREETINGS), activityOfMainThread);
  if (stoodMs < data.timeoutMs) return;
  clearInterval(ticking);
  void end(stoodMs);
}, data.tickMs);

/** Says where the main thread is, and ends the process, whatever becomes of the first. */
async function end(stoodMs: number): Promise<void> {
  try {
    // Asked first: the inspector makes the thread wait.
    const thread = data.watchesMainThread ? whereaboutsOfMainThread() : undefined;
    const stack = data.watchesMainThread && process.features.inspector ? await stackOfMainThread() : undefined;
    await within(REPORT_WAIT_MS, report(stoodMs, { stack, thread, rssBytes: process.memoryUsage.rss() }));
  } catch (error) {
    await within(
      REPORT_WAIT_MS,
      tell(2, `error: the watchdog could not say where the main thread stands still: ${messageOf(error)}\n`),
    );
  } finally {
    endProcess();
  }
}

/**
 * No signal handler of JavaScript can run any more. SIGABRT leaves a core file where the system is told to keep those.
 */
function endProcess(): void {
  if (process.platform !== 'win32') process.kill(process.pid, 'SIGABRT');
  // A host program may have taken SIGABRT for itself.
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), process.platform === 'win32' ? 0 : REPORT_WAIT_MS);
}

interface Place {
  /** Innermost first; undefined where the thread is in no JavaScript that could be stopped. */
  readonly stack: readonly string[] | undefined;
  readonly thread: Whereabouts | undefined;
  readonly rssBytes: number;
}

async function report(stoodMs: number, place: Place): Promise<void> {
  const { stack, thread = {} } = place;
  const message = `the main thread has stood still for ${Math.round(stoodMs / 100) / 10} s: the watchdog ends the node`;
  const where = stack === undefined ? 'in native code' : `at ${stack.join(', called by ')}`;
  const lastWords = `error: ${message}; it is ${where}; ${JSON.stringify(thread)}\n`;
  const { actor, logDestination } = data;
  const time = new Date().toISOString();
  const line = `${JSON.stringify({ level: 'fatal', time, actor, module: 'node', ...place, msg: message })}\n`;
  const words = [tell(2, lastWords)];
  if (logDestination?.kind === 'file') words.push(appendFile(logDestination.path, line));
  // On a terminal both would stand below each other.
  else if (logDestination?.kind === 'stdout' && !isatty(1)) words.push(tell(1, line));
  else if (logDestination?.kind === 'descriptor')
    words.push(tell(logDestination.descriptor, logDestination.readable ? lastWords : line));
  await Promise.allSettled(words);
}

/** By a thread of libuv's pool: a reader that has stalled must not hold this thread. */
async function tell(descriptor: number, text: string): Promise<void> {
  await promisify(write)(descriptor, text);
}

/**
 * The call stack of the main thread's JavaScript, innermost first; undefined
 * where it does not come to a stop. What V8 itself makes the thread do or wait
 * for is told as the place that called it. The inspector works inside the
 * process here: no port is opened.
 */
async function stackOfMainThread(): Promise<string[] | undefined> {
  const { Session } = await import('node:inspector');
  const session = new Session();
  session.connectToMainThread();
  const files = new Map<string, string>();
  session.on('Debugger.scriptParsed', ({ params }) => files.set(params.scriptId, params.url));
  const paused = new Promise<readonly Debugger.CallFrame[]>((resolve) => {
    session.once('Debugger.paused', ({ params }) => resolve(params.callFrames));
  });
  session.post('Debugger.enable');
  session.post('Debugger.pause');
  const frames = await within(STACK_WAIT_MS, paused);
  return frames
    ?.slice(0, STACK_FRAMES)
    .map(({ functionName, location: { scriptId, lineNumber, columnNumber = 0 } }) => {
      const name = functionName === '' ? '(anonymous)' : functionName;
      return `${name} (${files.get(scriptId) ?? ''}:${lineNumber + 1}:${columnNumber + 1})`;
    });
}

/** Undefined where the system has no /proc. */
function activityOfMainThread(): ThreadActivity | undefined {
  const stat = data.watchesMainThread ? contentOf('stat') : undefined;
  if (stat === undefined) return undefined;
  // The name in field 2 may hold spaces and brackets; what follows it begins with field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = '', userTicks, systemTicks] = [fields[0], fields[11], fields[12]];
  return { state, cpuMs: (Number(userTicks) + Number(systemTicks)) * CLOCK_TICK_MS };
}

interface Whereabouts extends Partial<ThreadActivity> {
  readonly kernelFunction: string | undefined;
  readonly systemCall: string | undefined;
}

/** What the system knows of it: whether it runs or waits, and for what. */
function whereaboutsOfMainThread(): Whereabouts {
  return { ...activityOfMainThread(), kernelFunction: contentOf('wchan'), systemCall: contentOf('syscall') };
}

function contentOf(name: string): string | undefined {
  try {
    return readFileSync(`${MAIN_THREAD}/${name}`, 'utf8').trim();
  } catch {
    // The system has no such file, or keeps it from this user.
    return undefined;
  }
}
