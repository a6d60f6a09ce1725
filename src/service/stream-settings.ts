import { counter, FlotillaError } from '../base/index.js';
import { DEFAULT_STREAM, formatEventId } from '../event/index.js';
import { checkSettingsChanges, type SettingsChanges } from '../machine/index.js';
import type { Replica } from '../replica/index.js';
import type { Handlers } from '../rpc/index.js';
import type { proto } from '../wire/index.js';
import { locate, notOvertaken } from './read-position.js';
import { findStream, type Streams, withLeader } from './streams.js';

const FIELDS: Readonly<Record<keyof SettingsChanges, string>> = {
  maxEvents: 'settings.max_events',
  maxBytes: 'settings.max_bytes',
  maxAgeMs: 'settings.max_age_ms',
};

/** proto/flotilla/v1/stream_service.proto. */
export function streamHandlers(streams: Streams): Handlers<typeof proto.StreamServiceDefinition> {
  return {
    getStream: async ({ stream }) => ({ stream: await infoOf(findStream(streams, stream), stream) }),
    setStream: async ({ stream, settings }) => {
      const replica = findStream(streams, stream);
      if (settings === undefined) throw new FlotillaError('INVALID_ARGUMENT', 'settings: say what to change');
      try {
        await replica.stream.change(changesOf(settings));
      } catch (error) {
        throw withLeader(error, streams.leaderAddress(replica));
      }
      return { stream: await infoOf(replica, stream) };
    },
  };
}

/** Throws INVALID_ARGUMENT where the request makes no sense. */
function changesOf({ maxEvents, maxBytes, maxAgeMs }: proto.StreamSettings): SettingsChanges {
  const changes: SettingsChanges = {
    ...(maxEvents === undefined ? {} : { maxEvents }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
  };
  checkSettingsChanges(changes, (name) => FIELDS[name]);
  return changes;
}

async function infoOf(replica: Replica, name: string): Promise<proto.StreamInfo> {
  return await notOvertaken(replica, () => infoNow(replica, name));
}

async function infoNow(replica: Replica, name: string): Promise<proto.StreamInfo> {
  const { stream, incarnation, storedBytes, begin } = replica;
  const { nextCounter, timeMs, settings = {} } = stream;
  const { firstCounter } = stream.first;
  const idOf = async (sought: number): Promise<string> => {
    const event = firstCounter < nextCounter ? await locate(replica, counter(sought)) : undefined;
    return event === undefined ? '' : formatEventId(event.id);
  };
  return {
    name: name === '' ? DEFAULT_STREAM : name,
    incarnation,
    settings: { maxEvents: settings.maxEvents, maxBytes: settings.maxBytes, maxAgeMs: settings.maxAgeMs },
    firstId: await idOf(firstCounter),
    lastId: await idOf(nextCounter - 1),
    nextCounter,
    events: nextCounter - firstCounter,
    storedBytes,
    beginIndex: begin.index,
    logTimeMs: timeMs,
  };
}
