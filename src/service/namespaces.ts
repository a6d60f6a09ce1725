import { FlotillaError, LIMITS } from '../base/index.js';
import { compileGlob, DEFAULT_GLOB, formatEventId } from '../event/index.js';
import type { NamespaceCount } from '../replica/index.js';
import type { Handlers, ServerStream } from '../rpc/index.js';
import type { proto } from '../wire/index.js';
import { committedEnd } from './committed-end.js';
import type { Reading } from './reading.js';
import { findStream, type Streams } from './streams.js';

/** proto/flotilla/v1/namespace_service.proto. */
export function namespaceHandlers(
  streams: Streams,
  reading: Reading,
): Handlers<typeof proto.NamespaceServiceDefinition> {
  return {
    listNamespaces: (request, stream, call) =>
      reading.admit(async () => {
        const replica = findStream(streams, request.stream);
        if (request.limit < 0)
          throw new FlotillaError('INVALID_ARGUMENT', `limit: ${request.limit} is negative; 0 means no limit`);
        const glob = compileGlob(request.glob === '' ? DEFAULT_GLOB : request.glob, 'glob');
        // A node that holds an older log than the others may list what they gave up: what is listed is what a majority
        // has.
        await committedEnd(replica);
        await reading.lists.take(1, call.signal);
        try {
          const rows = replica.byNamespace(reading.turnsOf(call.signal)).list({ glob, after: request.after });
          await sendRows(rows, request.limit === 0 ? Number.POSITIVE_INFINITY : request.limit, stream);
        } finally {
          reading.lists.give(1);
        }
      }),
  };
}

async function sendRows(
  rows: AsyncIterable<NamespaceCount>,
  limit: number,
  stream: ServerStream<proto.ListNamespacesResponse>,
): Promise<void> {
  let remaining = limit;
  let namespaces: proto.NamespaceSummary[] = [];
  for await (const { name, count, first, last } of rows) {
    namespaces.push({
      namespace: Buffer.from(name).toString(),
      count,
      firstId: formatEventId(first),
      lastId: formatEventId(last),
    });
    if (--remaining === 0) break;
    if (namespaces.length < LIMITS.listedNamespaces) continue;
    await stream.send({ namespaces });
    namespaces = [];
  }
  if (namespaces.length > 0) await stream.send({ namespaces });
}
