import { setMaxListeners } from 'node:events';
import { FlotillaError, LIMITS } from '../base/index.js';
import { checkStreamName, DEFAULT_STREAM, type EventLimits } from '../event/index.js';
import { type CallOptions, RpcClient, type RpcService } from '../rpc/index.js';
import { proto } from '../wire/index.js';
import { type NodeStatus, nodeStatusFrom } from './admin/node-status.js';
import { type StreamChanges, type StreamInfo, streamChangesToProto, streamInfoFrom } from './admin/stream-info.js';
import { askInTurn, type ClientContext } from './connection/attempts.js';
import { Hosts } from './connection/hosts.js';
import { withSignals } from './connection/linked-signal.js';
import type { EventInput } from './produce/event-input.js';
import { Producer } from './produce/producer.js';
import { ProducerIdentity } from './produce/producer-identity.js';
import type { Receipt } from './produce/receipt.js';
import { RpcProduceLink } from './produce/rpc-produce-link.js';
import type { Event } from './read/event.js';
import { EventIterator } from './read/event-iterator.js';
import { getEvent } from './read/get-event.js';
import { listNamespaces, type NamespaceSummary, type NamespacesOptions } from './read/list-namespaces.js';
import { type LogOptions, type LogPart, readLog } from './read/log-reader.js';
import type { ReadOptions } from './read/read-options.js';
import { readBatches } from './read/reader.js';

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
  private readonly context: ClientContext;
  private readonly followLeader: boolean;
  private readonly limits: EventLimits;
  private readonly producer: Producer;
  /** Those that are open. */
  private readonly producers = new Set<Producer>();
  private readonly closing = new AbortController();
  private learnAgainMs = 0;

  constructor(options: ClientOptions = {}) {
    const { hosts = 'localhost', stream = DEFAULT_STREAM, followLeader = true } = options;
    checkStreamName(stream, 'stream');
    // Each call that is under way listens.
    setMaxListeners(0, this.closing.signal);
    const timeoutMs = positive(options.timeoutMs ?? LIMITS.clientTimeoutMs, 'timeoutMs');
    const connectTimeoutMs = positive(options.connectTimeoutMs ?? LIMITS.clientConnectTimeoutMs, 'connectTimeoutMs');
    this.context = {
      hosts: new Hosts(hosts),
      stream,
      timeoutMs,
      connectTimeoutMs: Math.min(connectTimeoutMs, timeoutMs),
      onConnected: (address) => void this.learnMembers(address),
    };
    this.followLeader = followLeader;
    this.limits = { eventDataBytes: positive(options.maxEventBytes ?? LIMITS.eventDataBytes, 'maxEventBytes') };
    this.producer = this.startProducer('', ProducerIdentity.unnamed());
  }

  /** Appends one event, once, however often it had to be sent: see {@link Producer.produce}. */
  produce(event: EventInput): Promise<Receipt> {
    return this.producer.produce(event);
  }

  /** Appends events as one batch: all of them, next to each other, or none. Otherwise like {@link produce}. */
  append(events: readonly EventInput[]): Promise<Receipt> {
    return this.producer.append(events);
  }

  /**
   * Opens a producer that outlives its process. It goes on where the last holder of its name left off, and that holder
   * may append nothing from then on: `lastSequence` says how many batches of that name are in the stream. Close it
   * where many are opened; otherwise it ends with the client.
   */
  async openProducer(name: string): Promise<Producer> {
    if (this.closing.signal.aborted) throw closed();
    const identity = await ProducerIdentity.open(this.context, name, this.closing.signal);
    if (this.closing.signal.aborted) throw closed();
    return this.startProducer(name, identity);
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
    return await getEvent(this.context, id, this.closing.signal);
  }

  /** Copies the log as it is stored, up to what is committed: what a backup consists of. Fails like {@link read}. */
  readLog(options: LogOptions = {}): AsyncGenerator<LogPart, void, undefined> {
    return withSignals([this.closing.signal, options.signal], (signal) => readLog(this.context, options, signal));
  }

  /**
   * The namespaces that a glob matches, ascending by bytes, with what the stream holds of each; as one node knows it.
   */
  namespaces(glob?: string, options: NamespacesOptions = {}): AsyncGenerator<NamespaceSummary, void, undefined> {
    return withSignals([this.closing.signal, options.signal], (signal) =>
      listNamespaces(this.context, glob, { ...options, signal }),
    );
  }

  /** The cluster's members as one of them sees them. */
  async status(): Promise<NodeStatus[]> {
    const options = { isRead: true, attemptMs: LIMITS.clientConnectAttemptMs, signal: this.closing.signal };
    const status = await askInTurn(
      this.context,
      proto.ClusterServiceDefinition,
      (client, call) => client.unary('getStatus', { localOnly: false }, call),
      options,
    );
    this.learn(status);
    return status.nodes.map(nodeStatusFrom);
  }

  /**
   * Lets a cluster that waits for founders which don't answer at `addresses` form without them. Resolves with its
   * founders when it has. Rejects with INVALID_ARGUMENT where no node waits for them, and with QUORUM_AT_RISK where two
   * clusters could come of it.
   */
  async formCluster(without: readonly string[]): Promise<number[]> {
    return await this.ask(
      proto.ClusterServiceDefinition,
      async (client, call) => (await client.unary('formCluster', { withoutAddresses: [...without] }, call)).voters,
    );
  }

  /**
   * Takes a member out of the cluster, for good. Resolves with the voters that
   * are left. Rejects with QUORUM_AT_RISK where they could not go on.
   */
  async removeMember(actor: number): Promise<number[]> {
    return await this.ask(
      proto.ClusterServiceDefinition,
      async (client, call) => (await client.unary('removeMember', { actorId: actor }, call)).voters,
    );
  }

  /**
   * Hands leadership to `actor`, or to the node that can take it best. Resolves with the leader after that, where it is
   * known.
   */
  async transferLeadership(actor?: number): Promise<number | undefined> {
    return await this.ask(proto.ClusterServiceDefinition, async (client, call) => {
      const { leaderActorId } = await client.unary('transferLeadership', { actorId: actor ?? 0 }, call);
      return leaderActorId === 0 ? undefined : leaderActorId;
    });
  }

  /** The stream, as one of the nodes knows it. */
  async stream(): Promise<StreamInfo> {
    return await this.ask(
      proto.StreamServiceDefinition,
      async (client, call) => streamInfoFrom(await client.unary('getStream', { stream: this.context.stream }, call)),
      { isRead: true },
    );
  }

  /**
   * Changes how much of the stream is kept, in force at once on a majority. What
   * is absent stays as it is, `null` takes a bound away. Resolves with the stream
   * as its leader knows it then; rejects with OUTCOME_UNKNOWN where that can't be said.
   */
  async setStream(changes: StreamChanges): Promise<StreamInfo> {
    const settings = streamChangesToProto(changes);
    return await this.ask(proto.StreamServiceDefinition, async (client, call) =>
      streamInfoFrom(await client.unary('setStream', { stream: this.context.stream, settings }, call)),
    );
  }

  /**
   * Ends reads with CANCELLED, waits until what was produced has its answers
   * (each within its time-out), and disconnects.
   */
  async close(): Promise<void> {
    this.closing.abort();
    await Promise.all([...this.producers].map((producer) => producer.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private startProducer(name: string, identity: ProducerIdentity): Producer {
    const { stream } = this.context;
    const producer = new Producer({
      ...this.context,
      name,
      identity,
      openLink: (address, events) => RpcProduceLink.open(address, stream, events),
      followLeader: this.followLeader,
      limits: this.limits,
      onClosed: (ended) => void this.producers.delete(ended),
    });
    this.producers.add(producer);
    return producer;
  }

  private batches(options: ReadOptions, stop?: AbortSignal): AsyncGenerator<Event[], void, undefined> {
    return withSignals([this.closing.signal, options.signal, stop], (signal) =>
      readBatches(this.context, options, signal),
    );
  }

  /** Hears of the other members, for when this one goes away. */
  private async learnMembers(address: string): Promise<void> {
    if (performance.now() < this.learnAgainMs) return;
    this.learnAgainMs = performance.now() + LEARN_PERIOD_MS;
    try {
      this.learn(await this.statusOf(address));
    } catch {
      // The addresses that are known must do; the next connection asks again.
      this.learnAgainMs = 0;
    }
  }

  private learn({ nodes }: proto.GetStatusResponse): void {
    for (const { address } of nodes) this.context.hosts.learn(address);
  }

  /** Asks one node after another until one can do it and answers: a change that was begun is never asked for twice. */
  private async ask<Service extends RpcService, Result>(
    service: Service,
    ask: (client: RpcClient<Service>, call: CallOptions) => Promise<Result>,
    { isRead = false } = {},
  ): Promise<Result> {
    return await askInTurn(this.context, service, ask, { isRead, signal: this.closing.signal });
  }

  private async statusOf(address: string): Promise<proto.GetStatusResponse> {
    const client = new RpcClient(proto.ClusterServiceDefinition, address);
    try {
      const call = { timeoutMs: LIMITS.clientConnectAttemptMs, signal: this.closing.signal };
      return await client.unary('getStatus', { localOnly: false }, call);
    } finally {
      client.close();
    }
  }
}

/** New members are heard of with a connection that is made this long after the last. */
const LEARN_PERIOD_MS = 10_000;

function closed(): FlotillaError {
  return new FlotillaError('CANCELLED', 'the client is closed');
}

function positive(value: number, option: string): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new FlotillaError('INVALID_ARGUMENT', `${option}: ${String(value)} is not a whole number above 0`);
}
