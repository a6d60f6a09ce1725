import { createReadStream } from 'node:fs';
import { actorId, counter, ERRORS, FlotillaError, LIMITS } from '../src/base/index.js';
import type { FlotillaClient } from '../src/client/index.js';
import { checkNewEvent, type EventId, formatEventId, type Glob, type NewEvent } from '../src/event/index.js';
import { exportedEventFromJson } from '../src/wire/index.js';
import { ImportedIds } from './imported-ids.js';
import { bytesUntil, EVENT_LINE_BYTES, jsonLines, linesOf } from './lines.js';
import { EXIT, note, printResult, reportError, warn } from './output.js';

/** What `flotilla import` was asked for. */
export interface ImportJob {
  /** Undefined: stdin. */
  readonly file: string | undefined;
  readonly glob: Glob | undefined;
  readonly keepParents: boolean;
}

/** One call, which becomes one atomic batch, has so many events, or so many bytes of lines, at most. */
const CALL_EVENTS = 4096;
const CALL_BYTES = 1024 * 1024;

/** A line that waits to be sent. */
interface WaitingEvent {
  readonly lineNumber: number;
  readonly id: EventId | undefined;
  readonly event: NewEvent;
}

/**
 * Appends the events of an export, batch after batch: what comes before a
 * failure is imported, and nothing after it. Without a client it is only checked
 * whether that could be done.
 */
export class ImportRun {
  imported = 0;
  private readonly client: FlotillaClient | undefined;
  private readonly job: ImportJob;
  private readonly ids = new ImportedIds();
  private readonly stop = new AbortController();
  private waiting: WaitingEvent[] = [];
  private waitingIds = new Set<string>();
  private waitingBytes = 0;
  private lineNumber = 0;
  /** All lines up to here are dealt with. */
  private doneLine = 0;
  private lostParents = 0;

  constructor(client: FlotillaClient | undefined, job: ImportJob) {
    this.client = client;
    this.job = job;
  }

  /** Resolves to the exit code. */
  async run(): Promise<number> {
    process.once('SIGINT', () => this.stop.abort());
    let failure: unknown;
    try {
      await this.readAll();
    } catch (error) {
      failure = error;
    }
    if (this.lostParents > 0)
      warn(
        `${this.lostParents} events lost their parent: it is not among the events before them (--keep-parents ` +
          'keeps the ids as they are)',
      );
    if (failure !== undefined) return this.report(failure);
    if (this.stop.signal.aborted) {
      note(`interrupted: ${this.soFar()}; nothing after that`);
      return EXIT.interrupted;
    }
    await printResult(
      this.client === undefined ? `${this.imported} events can be imported\n` : `Imported ${this.imported} events\n`,
    );
    return EXIT.success;
  }

  private async readAll(): Promise<void> {
    const { file } = this.job;
    const bytes = bytesUntil(this.stop.signal, file === undefined ? process.stdin : createReadStream(file));
    const decode = jsonLines();
    for await (const lines of linesOf(bytes, EVENT_LINE_BYTES)) {
      for (const line of lines) {
        if (this.stop.signal.aborted) return;
        this.lineNumber++;
        const decoded = decode(line);
        if (decoded === undefined) continue;
        const { id, event } = exportedEventFromJson(decoded.text, decoded.field);
        checkNewEvent(event, { eventDataBytes: LIMITS.eventDataBytesMax }, decoded.field);
        if (this.job.glob?.matches(event.namespace) === false) continue;
        await this.add(id, event, line.byteLength);
      }
    }
    if (!this.stop.signal.aborted) await this.send();
  }

  private async add(id: EventId | undefined, event: NewEvent, bytes: number): Promise<void> {
    const { parentId } = event;
    const needsReceipt =
      parentId !== undefined && !this.job.keepParents && this.waitingIds.has(formatEventId(parentId));
    const isFull = this.waiting.length === CALL_EVENTS || this.waitingBytes + bytes > CALL_BYTES;
    // A parent has its new id only when its batch is acknowledged.
    if ((needsReceipt || isFull) && this.waiting.length > 0) await this.send();
    this.waiting.push({ lineNumber: this.lineNumber, id, event: { ...event, parentId: this.newParentOf(event) } });
    if (id !== undefined) this.waitingIds.add(formatEventId(id));
    this.waitingBytes += bytes;
  }

  private newParentOf({ parentId }: NewEvent): EventId | undefined {
    if (parentId === undefined || this.job.keepParents) return parentId;
    const found = this.ids.find(parentId);
    if (found === undefined) this.lostParents++;
    return found;
  }

  private async send(): Promise<void> {
    const { waiting } = this;
    if (waiting.length > 0) {
      const first = await this.append(waiting.map(({ event }) => event));
      for (const [position, { id }] of waiting.entries()) {
        if (id !== undefined) this.ids.add(id, { counter: counter(first.counter + position), actor: first.actor });
      }
      this.imported += waiting.length;
    }
    this.waiting = [];
    this.waitingIds = new Set();
    this.waitingBytes = 0;
    this.doneLine = waiting.at(-1)?.lineNumber ?? this.doneLine;
  }

  /** The id of the first. */
  private async append(events: readonly NewEvent[]): Promise<EventId> {
    if (this.client === undefined) return { counter: counter(this.imported + 1), actor: actorId(1) };
    const inputs = events.map((event) => ({
      ...event,
      parentId: event.parentId === undefined ? undefined : formatEventId(event.parentId),
    }));
    return (await this.client.append(inputs)).eventId;
  }

  private report(failure: unknown): number {
    const unknown = failure instanceof FlotillaError && ERRORS[failure.code].exit === EXIT_UNKNOWN;
    const from = this.waiting[0]?.lineNumber;
    const to = this.waiting.at(-1)?.lineNumber;
    const exitCode = reportError(failure);
    if (this.client === undefined) return exitCode;
    note(
      unknown
        ? `${this.soFar()}; those of lines ${from} to ${to} may be, or not; nothing after that`
        : `${this.soFar()}; nothing after that`,
    );
    return exitCode;
  }

  private soFar(): string {
    return this.imported === 0
      ? 'no event is imported'
      : `${this.imported} events, up to line ${this.doneLine}, are imported`;
  }
}

const EXIT_UNKNOWN = ERRORS.OUTCOME_UNKNOWN.exit;
