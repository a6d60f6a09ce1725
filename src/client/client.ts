import { setMaxListeners } from 'node:events';
import { FlotillaError, LIMITS } from '../base/index.js';
import { checkStreamName, DEFAULT_STREAM, type EventLimits, type NewEvent } from '../event/index.js';
import { RpcClient, type RpcService } from '../rpc/index.js';
import { proto } from '../wire/index.js';
import { BackOff } from './back-off.js';
import { sleep } from './connect.js';
import type { Event } from './event.js';
import { checkCallSize, type EventInput, encodedBytes, toNewEvent, toNewEvents } from './event-input.js';
import { EventIterator } from './event-iterator.js';
import { getEvent } from './get-event.js';
import { Hosts } from './hosts.js';
import { IdempotentProducer } from './idempotent-producer.js';
import { unreachableError } from './link-keeper.js';
import { withSignals } from './linked-signal.js';
import { listNamespaces, type NamespaceSummary, type NamespacesOptions } from './list-namespaces.js';
import { type LogOptions, type LogPart, readLog } from './log-reader.js';
import { type NodeStatus, nodeStatusFrom } from './node-status.js';
import { Producer, type Retry } from './producer.js';
import type { ReadOptions } from './read-options.js';
import { type ReaderContext, readBatches } from './reader.js';
import type { Receipt } from './receipt.js';
import { RpcProduceLink } from './rpc-produce-link.js';
import { type StreamChanges, type StreamInfo, streamChangesToProto, streamInfoFrom } from './stream-info.js';

export interface ClientOptions {
  /**
   * Any members of the cluster, as HOST[:PORT] or a comma list; the others are learned from them. Default:
   * `localhost:3000`.
   */
  readonly hosts?: string | readonly string[] | undefined;
  /** Default: `default`, the stream that always exists. */
  readonly stream?: string | undefined;
  /**
   * Produce through the stream's leader (default), which saves a hop. `false`:
   * stay with the node at hand while it answers, so that events bear its actor.
   */
  readonly followLeader?: boolean | undefined;
  /**
   * What to do with events that were sent when their outcome became unknown
   * (a lost connection, a lost leadership). `retry` (default): send them again,
   * at least once; they may then be there twice, and the receipt says so.
   * `fail`: reject with OUTCOME_UNKNOWN.
   */
  readonly onUnknown?: 'retry' | 'fail' | undefined;
  /** Hears of events that are sent again after an unknown outcome. */
  readonly onRetry?: ((retry: Retry) => void) | undefined;
  /** How long a call may take, retries included. Default: 30 s. */
  readonly timeoutMs?: number | undefined;
  /** How long to look for a first node that answers. Default: 5 s, at most `timeoutMs`. */
  readonly connectTimeoutMs?: number | undefined;
  /** Data of one event, at most; what the nodes' --max-event-bytes says. Default: 1 MiB. */
  readonly maxEventBytes?: number | undefined;
}

/**
 * Produces to and reads from one stream of a cluster. All failures are
 * FlotillaErrors: `code` says what failed, `retryable` whether the same call
 * certainly had no effect and may succeed later.
 *
 * A client connects with its first call and keeps its connections until
 * `close()`, or the end of an `await using` block; until then it keeps the
 * process alive.
 */
export class FlotillaClient implements AsyncDisposable {
  private readonly hosts: Hosts;
  private readonly streamName: string;
  private readonly timeoutMs: number;
  private readonly connectTimeoutMs: number;
  private readonly limits: EventLimits;
  private readonly producer: Producer;
  /** Those that are open. */
  private readonly idempotent = new Set<IdempotentProducer>();
  private readonly closing = new AbortController();
  private learnAgainMs = 0;

  constructor(options: ClientOptions = {}) {
    const { hosts = 'localhost', stream = DEFAULT_STREAM, followLeader = true, onUnknown = 'retry' } = options;
    checkStreamName(stream, 'stream');
    // Each call that is under way listens.
    setMaxListeners(0, this.closing.signal);
    this.hosts = new Hosts(hosts);
    this.streamName = stream;
    this.timeoutMs = positive(options.timeoutMs ?? LIMITS.clientTimeoutMs, 'timeoutMs');
    this.connectTimeoutMs = Math.min(
      positive(options.connectTimeoutMs ?? LIMITS.clientConnectTimeoutMs, 'connectTimeoutMs'),
      this.timeoutMs,
    );
    this.limits = { eventDataBytes: positive(options.maxEventBytes ?? LIMITS.eventDataBytes, 'maxEventBytes') };
    this.producer = new Producer({
      hosts: this.hosts,
      openLink: (address, events) => RpcProduceLink.open(address, stream, events),
      followLeader,
      onUnknown,
      timeoutMs: this.timeoutMs,
      connectTimeoutMs: this.connectTimeoutMs,
      // In a turn of its own: what it throws is the application's, and no failure of the events.
      onRetry: (retry) => queueMicrotask(() => options.onRetry?.(retry)),
      onConnected: (address) => void this.learnMembers(address),
    });
  }

  /**
   * Appends one event. Resolves when it is fsynced on a majority.
   *
   * Many calls may wait at once: those made in one turn of the event loop, and
   * those that wait while batches are under way, travel together. A loop that
   * does not await each call awaits {@link drained} instead, or runs into
   * TOO_MANY_REQUESTS when too much waits.
   *
   * Rejects with INVALID_ARGUMENT or MESSAGE_TOO_LARGE; with UNREACHABLE,
   * NO_LEADER or another retryable code where the event was certainly not
   * appended in time; with OUTCOME_UNKNOWN where it may have been.
   */
  produce(event: EventInput): Promise<Receipt> {
    return this.submit(() => [toNewEvent(event, this.limits, 'event')]);
  }

  /** Appends events as one batch: all of them, next to each other, or none. Otherwise like {@link produce}. */
  append(events: readonly EventInput[]): Promise<Receipt> {
    return this.submit(() => toNewEvents(events, this.limits));
  }

  /**
   * Opens a producer whose batches are in the stream once, however often they
   * had to be sent. It goes on where the last holder of its name left off, who
   * may append nothing from then on: `lastSequence` says how many batches of that
   * name are in the stream. Close it where many are opened; otherwise it ends
   * with the client.
   */
  async openProducer(name: string): Promise<IdempotentProducer> {
    if (this.closing.signal.aborted) throw new FlotillaError('CANCELLED', 'the client is closed');
    const context = this.readerContext();
    const onClosed = (closed: IdempotentProducer): void => void this.idempotent.delete(closed);
    const producer = await IdempotentProducer.open({ name, context, limits: this.limits, onClosed });
    this.idempotent.add(producer);
    return producer;
  }

  /** Whether as much waits for receipts as should. */
  get writable(): boolean {
    return this.producer.writable;
  }

  /** Undefined where {@link writable}; else a promise of that. */
  drained(): Promise<void> | undefined {
    return this.producer.drained();
  }

  /**
   * Reads committed events in id order (or backwards), none skipped, none twice:
   * after a lost connection it goes on by itself behind the last event
   * delivered. An iteration that isn't pulled stops the node by flow control.
   *
   * The iteration throws a FlotillaError where the read is refused (bad glob,
   * unknown position), or got no further for `timeoutMs`.
   */
  read(options: ReadOptions = {}): EventIterator {
    const stop = new AbortController();
    return new EventIterator(this.batches(options, stop.signal), () => stop.abort());
  }

  /** {@link read} with `tail`: new events follow as they are committed. */
  tail(options: Omit<ReadOptions, 'tail'> = {}): EventIterator {
    return this.read({ ...options, tail: true });
  }

  /** {@link read} by the batches in which events arrive: the fastest way to read much. */
  readBatches(options: ReadOptions = {}): AsyncGenerator<Event[], void, undefined> {
    return this.batches(options);
  }

  /**
   * One event by its id (25 digits, or `counter.actor`). Rejects with NOT_FOUND where the stream has none of that id.
   */
  async get(id: string): Promise<Event> {
    return await getEvent(this.readerContext(), id, this.closing.signal);
  }

  /** Copies the log as it is stored, up to what is committed: what a backup consists of. Fails like {@link read}. */
  readLog(options: LogOptions = {}): AsyncGenerator<LogPart, void, undefined> {
    return withSignals([this.closing.signal, options.signal], (signal) =>
      readLog(this.readerContext(), options, signal),
    );
  }

  /**
   * The namespaces that a glob matches, ascending by bytes, with what the stream holds of each; as one node knows it.
   */
  namespaces(glob?: string, options: NamespacesOptions = {}): AsyncGenerator<NamespaceSummary, void, undefined> {
    return withSignals([this.closing.signal, options.signal], (signal) =>
      listNamespaces(this.readerContext(), glob, { ...options, signal }),
    );
  }

  /** The cluster's members as one of them sees them. */
  async status(): Promise<NodeStatus[]> {
    const backOff = new BackOff();
    const giveUpMs = performance.now() + this.connectTimeoutMs;
    for (let address = this.hosts.preferred; ; address = this.hosts.after(address)) {
      try {
        const status = await this.getStatus(address, { localOnly: false });
        return status.nodes.map(nodeStatusFrom);
      } catch (error) {
        if (!(error instanceof FlotillaError) || !GOES_ON.has(error.code)) throw error;
        if (this.closing.signal.aborted) throw new FlotillaError('CANCELLED', 'the client is closed', { cause: error });
        if (performance.now() >= giveUpMs) throw unreachableError(this.hosts, error);
      }
      await sleep(backOff.nextMs(), this.closing.signal);
    }
  }

  /**
   * Lets a cluster that waits for founders which don't answer at `addresses`
   * form without them. Resolves with its founders when it has. Rejects with
   * INVALID_ARGUMENT where nobody waits for them, and with QUORUM_AT_RISK where
   * two clusters could come of it.
   */
  async formCluster(without: readonly string[]): Promise<number[]> {
    return await this.askInTurn(
      proto.ClusterServiceDefinition,
      async (client, call) => (await client.unary('formCluster', { withoutAddresses: [...without] }, call)).voters,
    );
  }

  /**
   * Takes a member out of the cluster, for good. Resolves with the voters that
   * are left. Rejects with QUORUM_AT_RISK where they could not go on.
   */
  async removeMember(actor: number): Promise<number[]> {
    return await this.askInTurn(
      proto.ClusterServiceDefinition,
      async (client, call) => (await client.unary('removeMember', { actorId: actor }, call)).voters,
    );
  }

  /** Hands leadership to `actor`, or to whoever can take it best. Resolves with who leads then, where that is known. */
  async transferLeadership(actor?: number): Promise<number | undefined> {
    return await this.askInTurn(proto.ClusterServiceDefinition, async (client, call) => {
      const { leaderActorId } = await client.unary('transferLeadership', { actorId: actor ?? 0 }, call);
      return leaderActorId === 0 ? undefined : leaderActorId;
    });
  }

  /** The stream, as one of the nodes knows it. */
  async stream(): Promise<StreamInfo> {
    return await this.askInTurn(proto.StreamServiceDefinition, async (client, call) =>
      streamInfoFrom(await client.unary('getStream', { stream: this.streamName }, call)),
    );
  }

  /**
   * Changes how much of the stream is kept, in force at once on a majority. What
   * is absent stays as it is, `null` takes a bound away. Resolves with the stream
   * as its leader knows it then; rejects with OUTCOME_UNKNOWN where that can't be said.
   */
  async setStream(changes: StreamChanges): Promise<StreamInfo> {
    const settings = streamChangesToProto(changes);
    return await this.askInTurn(proto.StreamServiceDefinition, async (client, call) =>
      streamInfoFrom(await client.unary('setStream', { stream: this.streamName, settings }, call)),
    );
  }

  /**
   * Ends reads with CANCELLED, waits until what was produced has its answers
   * (each within its time-out), and disconnects.
   */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.all([this.producer, ...this.idempotent].map((producer) => producer.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** What is wrong with the events is a rejection, like every other failure of the call. */
  private submit(makeEvents: () => readonly NewEvent[]): Promise<Receipt> {
    try {
      const events = makeEvents();
      let bytes = 0;
      for (const event of events) bytes += encodedBytes(event);
      checkCallSize(events.length, bytes);
      return this.producer.submit(events, bytes);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  private batches(options: ReadOptions, stop?: AbortSignal): AsyncGenerator<Event[], void, undefined> {
    return withSignals([this.closing.signal, options.signal, stop], (signal) =>
      readBatches(this.readerContext(), options, signal),
    );
  }

  private readerContext(): ReaderContext {
    return {
      hosts: this.hosts,
      stream: this.streamName,
      timeoutMs: this.timeoutMs,
      connectTimeoutMs: this.connectTimeoutMs,
      onConnected: (address: string) => void this.learnMembers(address),
    };
  }

  /** Hears of the other members, for when this one goes away. */
  private async learnMembers(address: string): Promise<void> {
    if (performance.now() < this.learnAgainMs) return;
    this.learnAgainMs = performance.now() + LEARN_PERIOD_MS;
    try {
      const status = await this.getStatus(address, { localOnly: false });
      for (const node of status.nodes) this.hosts.learn(node.address);
    } catch {
      // The addresses that are known must do; the next connection asks again.
      this.learnAgainMs = 0;
    }
  }

  /** Asks one node after another until one can do it and answers: a change that was begun is never asked for twice. */
  private async askInTurn<Service extends RpcService, Result>(
    service: Service,
    ask: (client: RpcClient<Service>, call: { timeoutMs: number; signal: AbortSignal }) => Promise<Result>,
  ): Promise<Result> {
    const backOff = new BackOff();
    const giveUpMs = performance.now() + this.timeoutMs;
    for (let address = this.hosts.preferred; ; ) {
      const client = new RpcClient(service, address);
      try {
        const timeoutMs = Math.max(1, giveUpMs - performance.now());
        return await ask(client, { timeoutMs, signal: this.closing.signal });
      } catch (error) {
        const again =
          error instanceof FlotillaError &&
          error.retryable &&
          performance.now() < giveUpMs &&
          !this.closing.signal.aborted;
        if (!again) throw error;
        address = error.leader ?? this.hosts.after(address);
      } finally {
        client.close();
      }
      await sleep(backOff.nextMs(), this.closing.signal);
    }
  }

  private async getStatus(address: string, request: proto.GetStatusRequest): Promise<proto.GetStatusResponse> {
    const client = new RpcClient(proto.ClusterServiceDefinition, address);
    try {
      return await client.unary('getStatus', request, {
        timeoutMs: LIMITS.clientConnectAttemptMs,
        signal: this.closing.signal,
      });
    } finally {
      client.close();
    }
  }
}

/** New members are heard of with a connection that is made this long after the last. */
const LEARN_PERIOD_MS = 10_000;

/** Failures after which another node may answer. */
const GOES_ON: ReadonlySet<string> = new Set([
  'UNREACHABLE',
  'OUTCOME_UNKNOWN',
  'DEADLINE_EXCEEDED',
  'SHUTTING_DOWN',
  'CANCELLED',
  'INTERNAL',
]);

function positive(value: number, option: string): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new FlotillaError('INVALID_ARGUMENT', `${option}: ${String(value)} is not a whole number above 0`);
}
