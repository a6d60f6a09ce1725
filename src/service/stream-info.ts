import { counter } from '../base/index.js';
import { DEFAULT_STREAM, type EventId } from '../event/index.js';
import type { StreamSettings } from '../machine/stream/index.js';
import type { Stream } from '../stream/index.js';
import { locate, notOvertaken } from './read-position.js';

/** A stream as this node knows it. */
export interface StreamInfo {
  readonly name: string;
  readonly incarnation: string;
  readonly settings: StreamSettings;
  /** Id of the first event that there is; undefined where there is none. */
  readonly firstId: EventId | undefined;
  readonly lastId: EventId | undefined;
  /** What the next event gets. */
  readonly nextCounter: number;
  readonly events: number;
  readonly storedBytes: number;
  /** The record before the first one. */
  readonly beginIndex: number;
  /** UTC milliseconds. */
  readonly logTimeMs: number;
}

export async function infoOf(stream: Stream, name: string): Promise<StreamInfo> {
  return await notOvertaken(stream, () => infoNow(stream, name));
}

async function infoNow(stream: Stream, name: string): Promise<StreamInfo> {
  const { incarnation, storedBytes, begin } = stream.group;
  const { nextCounter, timeMs, settings = {}, first } = stream.state;
  const { firstCounter } = first;
  const idOf = async (sought: number): Promise<EventId | undefined> =>
    firstCounter < nextCounter ? (await locate(stream, counter(sought)))?.id : undefined;
  return {
    name: name === '' ? DEFAULT_STREAM : name,
    incarnation,
    settings,
    firstId: await idOf(firstCounter),
    lastId: await idOf(nextCounter - 1),
    nextCounter,
    events: nextCounter - firstCounter,
    storedBytes,
    beginIndex: begin.index,
    logTimeMs: timeMs,
  };
}
