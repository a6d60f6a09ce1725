import { FlotillaError, LIMITS } from '../base/index.js';
import { compileGlob, DEFAULT_GLOB, type EventId } from '../event/index.js';
import type { NamespaceCount } from '../stream/index.js';
import { committedEnd } from './committed-end.js';
import type { Reading } from './reading.js';
import { findStream, type Streams } from './streams.js';

export interface NamespacesRequest {
  /** Empty: the default one. */
  readonly stream: string;
  /** Empty: everything but the system's. */
  readonly glob?: string;
  /** Only those that come behind this one. */
  readonly after?: string;
  /** 0: no limit. */
  readonly limit?: number;
}

/** A namespace that has events, and which are the first and the last of them. */
export interface NamespaceSummary {
  readonly namespace: string;
  readonly count: number;
  readonly firstId: EventId;
  readonly lastId: EventId;
}

/** The namespaces of a stream in order, some at a time, as of when that is asked for. */
export async function* listNamespaces(
  { streams, reading }: { readonly streams: Streams; readonly reading: Reading },
  { stream: name, glob: pattern = '', after = '', limit = 0 }: NamespacesRequest,
  signal: AbortSignal,
): AsyncGenerator<NamespaceSummary[], void, void> {
  const stream = findStream(streams, name);
  if (limit < 0) throw new FlotillaError('INVALID_ARGUMENT', `limit: ${limit} is negative; 0 means no limit`);
  const glob = compileGlob(pattern === '' ? DEFAULT_GLOB : pattern, 'glob');
  // A node that holds an older log than the others may list what they gave up: what is listed is what a majority has.
  await committedEnd(stream);
  await reading.lists.take(1, signal);
  try {
    const rows = stream.byNamespace(reading.turnsOf(signal)).list({ glob, after });
    yield* pagesOf(rows, limit === 0 ? Number.POSITIVE_INFINITY : limit);
  } finally {
    reading.lists.give(1);
  }
}

async function* pagesOf(
  rows: AsyncIterable<NamespaceCount>,
  limit: number,
): AsyncGenerator<NamespaceSummary[], void, void> {
  let remaining = limit;
  let page: NamespaceSummary[] = [];
  for await (const { name, count, first, last } of rows) {
    page.push({ namespace: Buffer.from(name).toString(), count, firstId: first, lastId: last });
    if (--remaining === 0) break;
    if (page.length < LIMITS.listedNamespaces) continue;
    yield page;
    page = [];
  }
  if (page.length > 0) yield page;
}
