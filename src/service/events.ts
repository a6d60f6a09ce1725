import type { FlotillaError } from '../base/index.js';
import { checkProducerName, type EventLimits } from '../event/index.js';
import { type CallContext, type Handlers, MESSAGE_BYTES_MAX, type ServerStream } from '../rpc/index.js';
import type { Metrics } from '../telemetry/index.js';
import type { proto } from '../wire/index.js';
import { BatchThread } from './batch-thread.js';
import { getEvent } from './get.js';
import { receiptFor, takeIn } from './ingest.js';
import { ProduceSession } from './produce-session.js';
import { ReadSession } from './read.js';
import { planRead } from './read-plan.js';
import { Reading } from './reading.js';
import { findStream, type Streams, withLeader } from './streams.js';

/** Append, Produce, Read, Get and OpenProducer of proto/flotilla/v1/event_service.proto. */
export class EventService {
  readonly handlers: Handlers<typeof proto.EventServiceDefinition>;
  /** What this node's readers share. */
  readonly reading = new Reading();
  /** Decodes the large ones of Append and Produce. */
  readonly batches: BatchThread;
  private readonly streams: Streams;
  private readonly limits: EventLimits;
  private readonly metrics: Metrics;
  private readonly sessions = new Set<ProduceSession>();
  /** Calls that may have something in the log and not yet answered. */
  private readonly running = new Set<Promise<unknown>>();
  private stopping: FlotillaError | undefined;

  constructor(options: { streams: Streams; limits: EventLimits; metrics: Metrics }) {
    this.streams = options.streams;
    this.limits = options.limits;
    this.metrics = options.metrics;
    this.batches = new BatchThread({ event: options.limits, messageBytesMax: MESSAGE_BYTES_MAX });
    this.handlers = {
      append: (request) => this.track(this.append(request)),
      produce: (stream) => this.track(this.produce(new ProduceSession({ ...options, stream }))),
      read: (request, stream, call) => this.read(request, stream, call),
      get: (request, call) => this.get(request, call),
      openProducer: (request) => this.openProducer(request),
    };
  }

  /** From now on nothing is taken in. Resolves when everything that was is answered. */
  async drain(error: FlotillaError): Promise<void> {
    this.stopping = error;
    for (const session of this.sessions) session.stop(error);
    await this.settled();
  }

  /** To be called once no call is under way. */
  async close(): Promise<void> {
    await this.batches.close();
  }

  /** Resolves when every producer's call that is under way now has ended. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.running]);
  }

  private async track<T>(call: Promise<T>): Promise<T> {
    this.running.add(call);
    try {
      return await call;
    } finally {
      this.running.delete(call);
    }
  }

  private async append(request: proto.AppendRequest): Promise<proto.AppendResponse> {
    if (this.stopping !== undefined) throw this.stopping;
    const replica = findStream(this.streams, request.stream);
    const { body, stamp } = takeIn(request, this.limits, replica);
    try {
      const proposed = await replica.submit(body, stamp);
      this.metrics.eventsIn.inc(body.count);
      this.metrics.bytesIn.inc(body.body.byteLength);
      this.metrics.batchesIn.inc();
      return { receipt: receiptFor(replica, body, proposed) };
    } catch (error) {
      throw withLeader(error, this.streams.leaderAddress(replica));
    }
  }

  private async produce(session: ProduceSession): Promise<void> {
    if (this.stopping !== undefined) throw this.stopping;
    this.sessions.add(session);
    this.metrics.produceStreams.inc();
    try {
      await session.run();
    } finally {
      this.sessions.delete(session);
      this.metrics.produceStreams.dec();
    }
  }

  private async openProducer({ stream, name }: proto.OpenProducerRequest): Promise<proto.OpenProducerResponse> {
    if (this.stopping !== undefined) throw this.stopping;
    checkProducerName(name, 'name');
    const replica = findStream(this.streams, stream);
    try {
      const { id, epoch, sequence } = await replica.producers.open(name);
      return { producerId: id, epoch, lastSequence: sequence, incarnation: replica.incarnation };
    } catch (error) {
      throw withLeader(error, this.streams.leaderAddress(replica));
    }
  }

  private async get(request: proto.GetRequest, call: CallContext): Promise<proto.GetResponse> {
    if (this.stopping !== undefined) throw this.stopping;
    const replica = findStream(this.streams, request.stream);
    try {
      return await getEvent(request, replica, this.reading, call.signal);
    } catch (error) {
      throw withLeader(error, this.streams.leaderAddress(replica));
    }
  }

  private async read(
    request: proto.ReadRequest,
    stream: ServerStream<proto.ReadResponse>,
    call: CallContext,
  ): Promise<void> {
    if (this.stopping !== undefined) throw this.stopping;
    const replica = findStream(this.streams, request.stream);
    const plan = planRead(request, replica);
    const onSent = (events: number, bytes: number): void => {
      this.metrics.eventsOut.inc(events);
      this.metrics.bytesOut.inc(bytes);
    };
    this.metrics.readStreams.inc();
    try {
      const { reading } = this;
      await reading.admit(() => new ReadSession({ replica, plan, stream, call, reading, onSent }).run());
    } catch (error) {
      throw withLeader(error, this.streams.leaderAddress(replica));
    } finally {
      this.metrics.readStreams.dec();
    }
  }
}
