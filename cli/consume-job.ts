import { FlotillaError } from '../src/base/index.js';
import type { Event, FlotillaClient, ReadOptions } from '../src/client/index.js';
import { EXIT, escapeControls, escapeControlsInJson, Output, reportError, warn } from './output.js';

/** What `flotilla consume` was asked for. */
export interface ConsumeJob
  extends Omit<ReadOptions, 'consistency' | 'onStarted' | 'onCaughtUp' | 'onReconnect' | 'signal'>,
    EventStyle {
  readonly tail: boolean;
}

/** How events are printed. */
export interface EventStyle {
  /** Each as JSON on a line. */
  readonly json: boolean;
  readonly verbose: boolean;
}

/** Prints events until the read ends. Resolves to the exit code. */
export async function runConsume(client: FlotillaClient, job: ConsumeJob, output = new Output()): Promise<number> {
  const stop = new AbortController();
  let interrupted = false;
  output.whenClosed(() => stop.abort());
  process.on('SIGINT', () => {
    interrupted = true;
    stop.abort();
  });
  const print = printerFor(job, output);
  try {
    for await (const events of client.readBatches({ ...job, signal: stop.signal, ...notices(job) })) {
      for (const event of events) {
        const pending = print(event);
        if (pending !== undefined) await pending;
        if (stop.signal.aborted) break;
      }
      await output.flush();
    }
  } catch (error) {
    if (!stop.signal.aborted || !(error instanceof FlotillaError && error.code === 'CANCELLED')) {
      await output.flush();
      return reportError(error);
    }
  }
  if (interrupted && !job.tail) return EXIT.interrupted;
  await client.close();
  return EXIT.success;
}

/** Prints events by their ids, in this order, up to the first that there is not. Resolves to the exit code. */
export async function runGet(client: FlotillaClient, ids: readonly string[], style: EventStyle): Promise<number> {
  const output = new Output();
  const print = printerFor(style, output);
  try {
    for (const id of ids) await print(await client.get(id));
  } catch (error) {
    return reportError(error);
  } finally {
    await output.flush();
    await client.close();
  }
  return EXIT.success;
}

function notices(job: ConsumeJob): {
  onStarted: (started: { confirmed: boolean }) => void;
  onReconnect: (cause: FlotillaError) => void;
} {
  let told = false;
  return {
    onStarted: ({ confirmed }) => {
      if (!confirmed && !job.tail)
        warn('the end of the stream could not be confirmed with a majority: newer events may be missing');
    },
    onReconnect: (cause) => {
      // Once is news; each further attempt of a long outage is not.
      if (!told && job.tail) warn(`the read broke off and goes on by itself: ${cause.message}`);
      told = true;
    },
  };
}

/** A promise where the output's pace must be waited for. */
export type Print = (event: Event) => Promise<void> | undefined;

export function printerFor({ json, verbose }: EventStyle, output: Output): Print {
  if (json) return (event) => output.write(`${forTerminal(JSON.stringify(event), output, escapeControlsInJson)}\n`);
  return (event) => {
    const { parentId, data } = event;
    const parent = parentId === undefined ? '' : `, Parent: ${parentId}`;
    const time = verbose ? `Timestamp: ${event.timestamp.toISOString()}\n` : '';
    const namespace = forTerminal(event.namespace, output, escapeControls);
    const head = `\nEventId: ${event.id}${parent}\nNamespace: ${namespace}\n${time}`;
    if (data.byteLength === 0) return output.write(head);
    if (output.isTerminal) return output.write(`${head}${escapeControls(event.text())}\n`);
    // The bytes themselves: what is no UTF-8 arrives unharmed too.
    output.collect(head);
    output.collect(data);
    return output.write('\n');
  };
}

function forTerminal(text: string, output: Output, escaped: (text: string) => string): string {
  return output.isTerminal ? escaped(text) : text;
}
