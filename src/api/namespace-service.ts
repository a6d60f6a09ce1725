import { FlotillaError, LIMITS } from '../base/index.js';
import { compileGlob, DEFAULT_GLOB, formatEventId } from '../event/index.js';
import type { Handlers } from '../rpc/index.js';
import type { proto } from '../wire/index.js';
import { committedEnd } from './committed-end.js';
import { findStream, type Streams } from './streams.js';

/** proto/flotilla/v1/namespace_service.proto. */
export function namespaceHandlers(streams: Streams): Handlers<typeof proto.NamespaceServiceDefinition> {
  return {
    listNamespaces: async (request, stream, call) => {
      const replica = findStream(streams, request.stream);
      if (request.limit < 0) throw new FlotillaError('INVALID_ARGUMENT', `limit: ${request.limit} is negative; 0 means no limit`);
      const glob = compileGlob(request.glob === '' ? DEFAULT_GLOB : request.glob, 'glob');
      // A node that holds an older log than the others may list what they gave up: what is listed is what a majority has.
      await committedEnd(replica);
      let remaining = request.limit === 0 ? Number.POSITIVE_INFINITY : request.limit;
      let namespaces: proto.NamespaceSummary[] = [];
      for await (const { name, count, first, last } of replica.byNamespace().list({ glob, after: request.after })) {
        if (call.signal.aborted) return;
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
    },
  };
}
