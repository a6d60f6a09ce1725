import { checkProducerName, DEFAULT_GLOB, type Event, type EventLimits } from '../event/index.js';
import type { OpenedProducer, Stream } from '../stream/index.js';
import type { Metrics } from '../telemetry/index.js';
import { authorize } from './authorize.js';
import type { Caller } from './caller.js';
import { type GetRequest, getEvent } from './get.js';
import { type NewBatch, type Receipt, receiptFor, takeIn } from './ingest.js';
import type { Intake } from './intake.js';
import { type ProducerStream, ProduceSession } from './produce-session.js';
import { pulled } from './pulled.js';
import type { ReadPart, ReadSink } from './read-parts.js';
import { planRead, type ReadRequest } from './read-plan.js';
import { ReadSession } from './read-session.js';
import type { Reading } from './reading.js';
import { findStream, type Streams, withLeader } from './streams.js';

export interface EventUseCasesOptions {
  readonly streams: Streams;
  readonly limits: EventLimits;
  readonly metrics: Metrics;
  readonly reading: Reading;
  readonly intake: Intake;
}

/** Appending events, and reading them. */
export class EventUseCases {
  private readonly options: EventUseCasesOptions;

  constructor(options: EventUseCasesOptions) {
    this.options = options;
  }

  /**
   * Appends a batch. Resolves when it is durable on a majority and this node can
   * serve it. Rejects as `Stream.submit` does, and with INVALID_ARGUMENT or
   * MESSAGE_TOO_LARGE, which name the field.
   */
  async append(caller: Caller, batch: NewBatch): Promise<Receipt> {
    authorize(caller, 'append', batch.stream);
    const { intake } = this.options;
    intake.requireOpen();
    return await intake.track(this.submit(batch));
  }

  /** Takes in what a producer sends, and answers each batch when it is settled; see {@link ProduceSession}. */
  async produce(caller: Caller, call: ProducerStream): Promise<void> {
    // Each batch is authorized anew: only the batch names its stream.
    authorize(caller, 'append');
    const { intake, metrics } = this.options;
    intake.requireOpen();
    metrics.produceStreams.inc();
    try {
      await intake.trackSession(new ProduceSession({ ...this.options, caller, call }));
    } finally {
      metrics.produceStreams.dec();
    }
  }

  /** Opens a named producer: the one that had the name before is fenced. */
  async openProducer(caller: Caller, request: { readonly stream: string; readonly name: string }): Promise<OpenedAs> {
    authorize(caller, 'append', request.stream);
    this.options.intake.requireOpen();
    checkProducerName(request.name, 'name');
    const stream = findStream(this.options.streams, request.stream);
    const opened = await this.pointingAtLeader(stream, () => stream.openProducer(request.name));
    return { ...opened, incarnation: stream.group.incarnation };
  }

  /** One event by its id. */
  async get(caller: Caller, request: GetRequest, signal: AbortSignal): Promise<Event> {
    authorize(caller, 'read', request.stream);
    const { intake, streams, reading } = this.options;
    intake.requireOpen();
    const stream = findStream(streams, request.stream);
    return await this.pointingAtLeader(stream, () => getEvent(request, stream, reading, signal));
  }

  /** Reads a stream. Leaving the loop ends the read. */
  read(caller: Caller, request: ReadRequest, signal?: AbortSignal): AsyncIterable<ReadPart> {
    return pulled((sink, ended) => this.readInto(caller, request, sink, ended), signal);
  }

  /** The same, handed to a sink at its pace; resolves at the end. */
  async readInto(caller: Caller, request: ReadRequest, sink: ReadSink, signal: AbortSignal): Promise<void> {
    authorize(caller, 'read', request.stream, [request.glob || DEFAULT_GLOB]);
    const { intake, streams, reading, metrics } = this.options;
    intake.requireOpen();
    const stream = findStream(streams, request.stream);
    const plan = planRead(request, stream);
    const onSent = (events: number, bytes: number): void => {
      metrics.eventsOut.inc(events);
      metrics.bytesOut.inc(bytes);
    };
    metrics.readStreams.inc();
    try {
      await this.pointingAtLeader(stream, () =>
        reading.admit(() => new ReadSession({ stream, plan, sink, signal, reading, onSent }).run()),
      );
    } finally {
      metrics.readStreams.dec();
    }
  }

  private async submit(batch: NewBatch): Promise<Receipt> {
    const { streams, limits, metrics } = this.options;
    const stream = findStream(streams, batch.stream);
    const { body, stamp } = takeIn(batch, limits, stream);
    try {
      const proposed = await stream.submit(body, stamp);
      metrics.eventsIn.inc(body.count);
      metrics.bytesIn.inc(body.body.byteLength);
      metrics.batchesIn.inc();
      return receiptFor(stream, body, proposed);
    } catch (error) {
      throw withLeader(error, streams.leaderAddress(stream));
    }
  }

  private async pointingAtLeader<Result>(stream: Stream, run: () => Promise<Result>): Promise<Result> {
    try {
      return await run();
    } catch (error) {
      throw withLeader(error, this.options.streams.leaderAddress(stream));
    }
  }
}

/** A producer that was opened, and the stream in which it was. */
export interface OpenedAs extends OpenedProducer {
  readonly incarnation: string;
}
