import { type Counter, counter, FlotillaError } from '../base/index.js';
import { compileGlob, DEFAULT_GLOB, DEFAULT_STREAM, type EventId, formatEventId } from '../event/index.js';
import { DEFAULT_GROUP } from '../stream/index.js';
import { batchesOf, type EventJson, eventsOf, eventToJson, type LogRecord, selectEvents } from '../wire/index.js';
import { readHeldLog } from './held-log.js';
import type { StoppedNodeAddress } from './held-node.js';

/** How far a dump goes: an event's counter, and its actor where that is said. */
export type DumpEnd = Pick<EventId, 'counter'> & Partial<EventId>;

export interface DumpOptions extends StoppedNodeAddress {
  readonly stream: string;
  /**
   * Without it: as far as the node knew its log to be committed. With it also beyond that: whoever says it knows
   * better.
   */
  readonly through: DumpEnd | undefined;
}

export interface DumpSink {
  begin(stream: { readonly incarnation: string }): Promise<void>;
  /** Resolves with whether more is wanted. */
  events(events: readonly EventJson[]): Promise<boolean>;
}

/** What a dump says of events that the node did not know to be committed. */
export interface DumpedEnd {
  /** Some went out, because `through` asked for them. */
  readonly beyondCommit: boolean;
  /** There are some that did not. */
  readonly leftOut: boolean;
}

/** Reads a stopped node's copy of a stream and changes nothing. */
export async function dumpNode({ dataDir, actor, stream, through }: DumpOptions, sink: DumpSink): Promise<DumpedEnd> {
  if (stream !== DEFAULT_STREAM)
    throw new FlotillaError(
      'NOT_FOUND',
      `stream: there is no stream ${JSON.stringify(stream)}; this version has only "${DEFAULT_STREAM}"`,
    );
  const log = { dataDir, actor, group: DEFAULT_GROUP };
  const firstCounter = await firstDelivered(log);
  let last: Counter = counter(firstCounter - 1);
  let beyondCommit = false;
  let leftOut = false;
  let isWanted = true;
  await readHeldLog(
    log,
    ({ incarnation }) => sink.begin({ incarnation }),
    async ({ records, commitIndex }) => {
      for (const record of records) {
        if (through !== undefined && last >= through.counter) return false;
        if (through === undefined && record.index > commitIndex) {
          leftOut ||= record.kind === 'events';
          continue;
        }
        if (record.kind !== 'events' || record.firstCounter + record.eventCount <= firstCounter) continue;
        beyondCommit ||= record.index > commitIndex;
        isWanted = await sink.events(eventsBetween(record, firstCounter, through));
        if (!isWanted) return false;
        last = counter(record.firstCounter + record.eventCount - 1);
      }
      return true;
    },
  );
  if (isWanted) requireReached(through, last);
  return { beyondCommit, leftOut };
}

/** Throws where a dump ends before the event that it was to end with. */
export function requireReached(through: DumpEnd | undefined, lastCounter: number): void {
  if (through === undefined || lastCounter >= through.counter) return;
  throw new FlotillaError(
    'NOT_FOUND',
    `through: this copy ends with the event of counter ${lastCounter}, and ${through.counter} is not there`,
  );
}

/** The first event that the node would deliver: retention may have reached into a segment that still stands. */
async function firstDelivered(log: Parameters<typeof readHeldLog>[0]): Promise<Counter> {
  let first: Counter = counter(1);
  await readHeldLog(
    log,
    async ({ state }) => {
      first = state.begin.firstCounter;
    },
    async ({ records, commitIndex }, { state }) => {
      for (const record of records) if (record.index <= commitIndex) state.apply(record);
      first = state.begin.firstCounter;
      return (records.at(-1)?.index ?? commitIndex) <= commitIndex;
    },
  );
  return first;
}

function eventsBetween(record: LogRecord, firstCounter: Counter, through: DumpEnd | undefined): EventJson[] {
  const all = batchesOf(record).flatMap((batch) => eventsOf(batch, selectEvents(batch, EVERYTHING, firstCounter - 1)));
  const events = through === undefined ? all : all.filter(({ id }) => id.counter <= through.counter);
  for (const { id } of events) requireSameActor(through, id);
  return events.map(eventToJson);
}

const EVERYTHING = compileGlob(DEFAULT_GLOB, 'glob');

/** An end that names another actor than its event has is of another history. */
export function requireSameActor(through: DumpEnd | undefined, id: EventId): void {
  if (through?.actor === undefined || through.counter !== id.counter || through.actor === id.actor) return;
  throw new FlotillaError(
    'POSITION_MISMATCH',
    `through: event ${id.counter} of this copy is ${formatEventId(id)}; is it the id of another stream?`,
  );
}
