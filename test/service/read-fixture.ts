import { readBatch } from '../../src/event/index.js';
import type { ReadPart } from '../../src/service/read-parts.js';
import { planRead, type ReadRequest } from '../../src/service/read-plan.js';
import { ReadSession } from '../../src/service/read-session.js';
import type { Stream } from '../../src/stream/index.js';
import { eventsOf, packBody } from '../../src/wire/index.js';
import { newReading } from '../support/reading.js';
import { StreamCluster } from '../support/stream-cluster.js';

/** An event as a plain list of all of them would hold it. */
export interface ModelEvent {
  readonly counter: number;
  readonly namespace: string;
  readonly timestampMs: number;
  /** The latest timestamp so far. */
  readonly logTimeMs: number;
}

export interface ModelBatch {
  readonly namespaces: readonly string[];
  /** How far the leader's time of day moves before it, back or forth. */
  readonly movesMs: number;
  /** Goes into the same record as the batch before. */
  readonly joins: boolean;
}

/** A stream on a node of its own, with most of its log not in memory, and the plain list of what it holds. */
export async function streamOf(
  batches: readonly ModelBatch[],
  cacheBytes = 400,
): Promise<{ cluster: StreamCluster; stream: Stream; events: ModelEvent[] }> {
  const cluster = new StreamCluster([1], { cacheBytes });
  await cluster.elect(1);
  const stream = cluster.stream(1);
  const { clock } = cluster.server(1);
  const events: ModelEvent[] = [];
  let counter = 0;
  let logTimeMs = 0;
  for (const [position, { namespaces, movesMs, joins }] of batches.entries()) {
    if (!joins || position === 0) {
      await cluster.settle();
      clock.utcOffsetMs += movesMs;
    }
    const timestampMs = clock.utcMs();
    logTimeMs = Math.max(logTimeMs, timestampMs);
    for (const namespace of namespaces) events.push({ counter: ++counter, namespace, timestampMs, logTimeMs });
    void stream.submit(packBody(namespaces.map((namespace, at) => ({ namespace, data: Buffer.alloc(at * 20) }))));
  }
  await cluster.settle();
  return { cluster, stream, events };
}

export interface ReadResult {
  /** In the order in which a reader gets them. */
  readonly counters: number[];
  readonly timestampsMs: number[];
  readonly parts: ReadPart[];
}

/** Carries a read out; a tail ends when it has caught up. `parts` holds what came before a failure. */
export async function readWith(
  stream: Stream,
  request: Partial<ReadRequest>,
  parts: ReadPart[] = [],
  /** The reader is as slow as this. */
  onPart: () => Promise<void> | undefined = () => undefined,
  reading = newReading(),
): Promise<ReadResult> {
  const stop = new AbortController();
  const session = new ReadSession({
    stream,
    plan: planRead({ stream: '', consistency: 'local', ...request }, stream),
    sink: {
      send: (part) => {
        parts.push(part);
        if (part.kind === 'caught-up') stop.abort();
        return onPart();
      },
    },
    signal: stop.signal,
    reading,
    onSent: () => undefined,
  });
  const running = session.run();
  await (request.tail === true ? running.catch(() => undefined) : running);
  const events = parts.flatMap((part) => eventsIn(part, request.backwards === true));
  return {
    counters: events.map(({ counter }) => counter),
    timestampsMs: events.map(({ timestampMs }) => timestampMs),
    parts,
  };
}

export function eventsIn(part: ReadPart, backwards: boolean): { counter: number; timestampMs: number }[] {
  if (part.kind === 'events') return part.events.map(({ id, timestampMs }) => ({ counter: id.counter, timestampMs }));
  if (part.kind !== 'batches') return [];
  return part.batches.flatMap((bytes) => {
    const batch = readBatch(bytes, 0);
    const events =
      batch === undefined ? [] : eventsOf(batch).map(({ id, timestampMs }) => ({ counter: id.counter, timestampMs }));
    return backwards ? events.reverse() : events;
  });
}
