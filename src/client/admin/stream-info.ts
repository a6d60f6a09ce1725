import { FlotillaError } from '../../base/index.js';
import type { proto } from '../../wire/index.js';

/** How much of a stream is kept; null: no bound. */
export interface StreamSettings {
  readonly maxEvents: number | null;
  /** Size of the log records that hold the events, as stored. */
  readonly maxBytes: number | null;
  readonly maxAgeMs: number | null;
}

/** What is absent stays as it is. */
export type StreamChanges = { readonly [Name in keyof StreamSettings]?: StreamSettings[Name] | undefined };

/** A stream, as the node that was asked knows it. */
export interface StreamInfo {
  readonly name: string;
  /** 32 hexadecimal digits; new when the stream is created, restored or recovered. */
  readonly incarnation: string;
  readonly settings: StreamSettings;
  /** Null where the stream has no events (any more). */
  readonly firstId: string | null;
  readonly lastId: string | null;
  /** Counter that the next event will have. */
  readonly nextCounter: number;
  /** That are delivered. */
  readonly events: number;
  /** Size of the log records that this node stores: more than what is delivered, for they go by whole segments. */
  readonly storedBytes: number;
  /** The log of this node begins after this index. */
  readonly beginIndex: number;
}

export function streamInfoFrom({ stream }: proto.GetStreamResponse | proto.SetStreamResponse): StreamInfo {
  if (stream === undefined) throw new FlotillaError('INTERNAL', 'the node has told nothing of the stream');
  const { name, incarnation, settings, firstId, lastId, nextCounter, events, storedBytes, beginIndex } = stream;
  return {
    name,
    incarnation,
    settings: {
      maxEvents: settings?.maxEvents ?? null,
      maxBytes: settings?.maxBytes ?? null,
      maxAgeMs: settings?.maxAgeMs ?? null,
    },
    firstId: firstId === '' ? null : firstId,
    lastId: lastId === '' ? null : lastId,
    nextCounter,
    events,
    storedBytes,
    beginIndex,
  };
}

/** Throws INVALID_ARGUMENT where a value can be no bound. */
export function streamChangesToProto({ maxEvents, maxBytes, maxAgeMs }: StreamChanges): proto.StreamSettings {
  const of = (name: string, value: number | null | undefined): number | undefined => {
    if (value === undefined || value === null) return value === null ? 0 : undefined;
    if (Number.isSafeInteger(value) && value >= 1) return value;
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `${name}: ${value} is not a whole number from 1 to ${Number.MAX_SAFE_INTEGER}, or null`,
    );
  };
  return {
    maxEvents: of('maxEvents', maxEvents),
    maxBytes: of('maxBytes', maxBytes),
    maxAgeMs: of('maxAgeMs', maxAgeMs),
  };
}
