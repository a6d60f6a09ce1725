import type { EventInput, FlotillaClient, Receipt } from '../src/client/index.js';
import { formatEventId } from '../src/event/index.js';
import { newEventFromJson } from '../src/wire/index.js';
import { bytesUntil, EVENT_LINE_BYTES, jsonLines, linesOf } from './lines.js';
import { EXIT, note, Output, reportError } from './output.js';

/** What `flotilla produce` was asked for. */
export interface ProduceJob {
  readonly source: 'arguments' | 'lines' | 'ndjson';
  /** Undefined only for ndjson, whose events then have their own. */
  readonly namespace: string | undefined;
  readonly parentId: string | undefined;
  readonly data: readonly string[] | undefined;
}

/**
 * Lines that travel as one call. A line larger than LONE_LINE_BYTES has a call of its own: a node that refuses it
 * refuses nothing else.
 */
const LINES_PER_CALL = 1024;
const LONE_LINE_BYTES = 32 * 1024;

const CALLS_BETWEEN_CHECKS = 256;

/** How long an interrupted produce waits for what is under way, and how soon a second signal is one. */
const INTERRUPTED_MS = 2000;
const FORWARDED_SIGNAL_MS = 250;

/** A chunk of stdin as calls, in order; each becomes one atomic batch. */
type Calls = AsyncIterable<EventInput[][]>;

/** Runs a job and resolves to the exit code. */
export async function runProduce(client: FlotillaClient, job: ProduceJob): Promise<number> {
  return await new ProduceRun(client, job).run();
}

class ProduceRun {
  private readonly client: FlotillaClient;
  private readonly job: ProduceJob;
  private readonly output = new Output();
  private firstNamespace: string | undefined;
  private severalNamespaces = false;
  private acknowledged = 0;
  private submitted = 0;
  private failure: unknown;
  private interrupted = false;
  /** Ends the reading of stdin. */
  private readonly stop = new AbortController();
  /** The last call's receipt is printed after all those before it. */
  private printed: Promise<void> = Promise.resolve();
  private printedAtCheck: Promise<void> = Promise.resolve();
  private callsSinceCheck = 0;

  constructor(client: FlotillaClient, job: ProduceJob) {
    this.client = client;
    this.job = job;
  }

  async run(): Promise<number> {
    this.output.whenClosed(() => this.stop.abort());
    this.watchInterrupt();
    try {
      await this.submitAll();
    } catch (error) {
      this.failure ??= error;
    }
    await this.settle();
    if (this.output.closed) return EXIT.success;
    if (this.interrupted) return this.reportInterrupt();
    if (this.failure !== undefined) {
      if (this.job.source !== 'arguments') note(`${this.acknowledged} events are acknowledged`);
      return reportError(this.failure);
    }
    await this.output.write(`Successfully produced ${this.acknowledged} events to ${this.where()}\n`);
    await this.output.flush();
    await this.client.close();
    return EXIT.success;
  }

  private async submitAll(): Promise<void> {
    for await (const calls of this.calls()) {
      for (const events of calls) {
        if (this.stop.signal.aborted) return;
        this.submit(events);
        await this.client.drained();
        await this.printingKeepsUp();
      }
    }
  }

  private submit(events: EventInput[]): void {
    this.submitted += events.length;
    const receipt = this.client.append(events);
    // Told of when its turn comes; until then it must not count as unhandled.
    receipt.catch(() => this.stop.abort());
    const before = this.printed;
    this.printed = this.printAfter(before, receipt, events);
  }

  /** Receipts wait for a slow stdout too: at most twice CALLS_BETWEEN_CHECKS of them. */
  private async printingKeepsUp(): Promise<void> {
    this.callsSinceCheck++;
    if (this.callsSinceCheck < CALLS_BETWEEN_CHECKS) return;
    this.callsSinceCheck = 0;
    const before = this.printedAtCheck;
    this.printedAtCheck = this.printed;
    await before;
  }

  /** Ids are printed in the order of the input, of all that is acknowledged: also behind a call that failed. */
  private async printAfter(before: Promise<void>, pending: Promise<Receipt>, events: EventInput[]): Promise<void> {
    await before;
    try {
      const receipt = await pending;
      this.acknowledged += receipt.count;
      for (const { namespace } of events) {
        this.firstNamespace ??= namespace;
        if (namespace !== this.firstNamespace) this.severalNamespaces = true;
      }
      await this.output.write(`${receipt.ids().join('\n')}\n`);
      // A reader of the output sees what is acknowledged at once, and not only when more follows.
      await this.output.flush();
    } catch (error) {
      this.failure ??= error;
    }
  }

  /** Waits for what is under way; after an interrupt only for a while. */
  private async settle(): Promise<void> {
    const idle = this.printed.then(() => this.output.flush());
    if (!this.interrupted) await Promise.race([idle, this.whenInterrupted()]);
    if (this.interrupted) await Promise.race([idle, new Promise((resolve) => setTimeout(resolve, INTERRUPTED_MS))]);
  }

  private whenInterrupted: () => Promise<void> = () => new Promise(() => undefined);

  private watchInterrupt(): void {
    let firstMs: number | undefined;
    const pressed = new Promise<void>((resolve) => {
      process.on('SIGINT', () => {
        const nowMs = performance.now();
        // npx hands on the Ctrl-C that the terminal has sent us already.
        if (firstMs !== undefined && nowMs - firstMs > FORWARDED_SIGNAL_MS) process.exit(EXIT.interrupted);
        firstMs ??= nowMs;
        this.interrupted = true;
        this.stop.abort();
        resolve();
      });
    });
    this.whenInterrupted = () => pressed;
  }

  private reportInterrupt(): number {
    const rest = this.submitted - this.acknowledged;
    note(
      `interrupted: ${this.acknowledged} events are ` +
        `acknowledged${rest === 0 ? '' : `; the outcome of up to ${rest} more is unknown`}`,
    );
    return EXIT.interrupted;
  }

  private where(): string {
    return this.severalNamespaces
      ? 'several namespaces'
      : (this.firstNamespace ?? this.job.namespace ?? 'no namespace');
  }

  private calls(): Calls {
    const { source, data = [], namespace = '', parentId } = this.job;
    if (source === 'arguments')
      return fromArguments(
        data.length === 0 ? [{ namespace, parentId }] : data.map((text) => ({ namespace, parentId, data: text })),
      );
    const lines = linesOf(bytesUntil(this.stop.signal), EVENT_LINE_BYTES);
    return source === 'lines'
      ? fromLines(lines, (line) => ({ namespace, parentId, data: line }))
      : fromLines(lines, jsonReader(this.job.namespace));
  }
}

async function* fromArguments(events: EventInput[]): Calls & AsyncGenerator<EventInput[][]> {
  yield await Promise.resolve([events]);
}

async function* fromLines(
  chunks: AsyncIterable<Uint8Array[]>,
  toEvent: (line: Uint8Array) => EventInput | undefined,
): AsyncGenerator<EventInput[][]> {
  for await (const lines of chunks) {
    const calls: EventInput[][] = [];
    let call: EventInput[] = [];
    for (const line of lines) {
      const event = toEvent(line);
      if (event === undefined) continue;
      const lone = line.byteLength > LONE_LINE_BYTES;
      if (call.length > 0 && (lone || call.length === LINES_PER_CALL)) {
        calls.push(call);
        call = [];
      }
      call.push(event);
      if (!lone) continue;
      calls.push(call);
      call = [];
    }
    if (call.length > 0) calls.push(call);
    yield calls;
  }
}

/** Reads events in JSON; blank lines are none. */
function jsonReader(defaultNamespace: string | undefined): (line: Uint8Array) => EventInput | undefined {
  const decode = jsonLines();
  return (bytes) => {
    const line = decode(bytes);
    if (line === undefined) return undefined;
    const { parentId, ...event } = newEventFromJson(line.text, line.field, defaultNamespace);
    return { ...event, parentId: parentId === undefined ? undefined : formatEventId(parentId) };
  };
}
