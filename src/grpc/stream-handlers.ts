import { FlotillaError } from '../base/index.js';
import { type EventId, formatEventId } from '../event/index.js';
import type { Handlers } from '../rpc/index.js';
import type { Caller, NamespaceSummary, StreamInfo, StreamUseCases } from '../service/index.js';
import type { proto } from '../wire/index.js';

/** proto/flotilla/v1/stream_service.proto. */
export function streamHandlers(
  streams: StreamUseCases,
  caller: Caller,
): Handlers<typeof proto.StreamServiceDefinition> {
  return {
    getStream: async ({ stream }) => ({ stream: infoToProto(await streams.show(caller, stream)) }),
    setStream: async ({ stream, settings }) => {
      if (settings === undefined) throw new FlotillaError('INVALID_ARGUMENT', 'settings: say what to change');
      return { stream: infoToProto(await streams.change(caller, stream, withoutAbsent(settings))) };
    },
  };
}

/** proto/flotilla/v1/namespace_service.proto. */
export function namespaceHandlers(
  streams: StreamUseCases,
  caller: Caller,
): Handlers<typeof proto.NamespaceServiceDefinition> {
  return {
    listNamespaces: async (request, stream, { signal }) => {
      for await (const page of streams.namespaces(caller, request, signal))
        await stream.send({ namespaces: page.map(summaryToProto) });
    },
  };
}

/** What is absent stays as it is. */
function withoutAbsent({
  maxEvents,
  maxBytes,
  maxAgeMs,
}: proto.StreamSettings): Parameters<StreamUseCases['change']>[2] {
  return {
    ...(maxEvents === undefined ? {} : { maxEvents }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
  };
}

function infoToProto({ settings, firstId, lastId, ...info }: StreamInfo): proto.StreamInfo {
  const { maxEvents, maxBytes, maxAgeMs } = settings;
  return {
    ...info,
    settings: { maxEvents, maxBytes, maxAgeMs },
    firstId: idToProto(firstId),
    lastId: idToProto(lastId),
  };
}

function summaryToProto({ namespace, count, firstId, lastId }: NamespaceSummary): proto.NamespaceSummary {
  return { namespace, count, firstId: formatEventId(firstId), lastId: formatEventId(lastId) };
}

function idToProto(id: EventId | undefined): string {
  return id === undefined ? '' : formatEventId(id);
}
