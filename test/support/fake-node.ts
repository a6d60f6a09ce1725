import { EventEmitter } from 'node:events';
import { crc32 } from 'node:zlib';
import { actorId, counter, FlotillaError } from '../../src/base/index.js';
import {
  BATCH_HEADER_BYTES,
  compileGlob,
  formatEventId,
  type Glob,
  parseEventId,
  readBatch,
  type StoredBatch,
  writeBatchHeader,
} from '../../src/event/index.js';
import { type CallContext, type DuplexStream, RpcServer, type ServerStream } from '../../src/rpc/index.js';
import { checkPackedBody, eventsOf, eventToProto, type PackedBody, proto, selectEvents } from '../../src/wire/index.js';

/** The log that the fake nodes of one cluster share: what is appended is committed at once. */
export class FakeLog {
  readonly batches: StoredBatch[] = [];
  incarnation = 'f'.repeat(32);
  private readonly listeners = new Set<() => void>();
  /** The receipts of each producer, by sequence. */
  private readonly producers = new Map<number, proto.Receipt[]>();

  get lastId(): string {
    const last = this.batches.at(-1)?.header;
    return last === undefined
      ? ''
      : formatEventId({ counter: counter(last.baseCounter + last.count - 1), actor: last.actor });
  }

  get nextCounter(): number {
    const last = this.batches.at(-1)?.header;
    return last === undefined ? 1 : last.baseCounter + last.count;
  }

  /** As a stream does it: once, and only as the next batch of its producer. */
  appendStamped(packed: PackedBody, actor: number, stamp: proto.ProducerStamp): proto.Receipt {
    const { producerId, sequence } = stamp;
    const known = this.producers.get(producerId) ?? [];
    if (sequence > known.length + 1)
      throw new FlotillaError(
        known.length === 0 ? 'PRODUCER_EXPIRED' : 'SEQUENCE_GAP',
        `batch ${sequence} is out of turn`,
      );
    const receipt = known[sequence - 1] ?? this.append(packed, actor);
    known[sequence - 1] = receipt;
    this.producers.set(producerId, known);
    return receipt;
  }

  /** Forgets all producers. */
  forget(): void {
    this.producers.clear();
  }

  append(packed: PackedBody, actor: number): proto.Receipt {
    const baseCounter = counter(this.nextCounter);
    const header = {
      flags: 0,
      actor: actorId(actor),
      count: packed.count,
      baseCounter,
      timestampMs: 1_700_000_000_000 + baseCounter,
      producer: 0,
      epoch: 0,
      sequence: 0,
      bodyLength: packed.body.byteLength,
      bodyChecksum: crc32(packed.body),
    };
    const bytes = Buffer.alloc(BATCH_HEADER_BYTES + packed.body.byteLength);
    writeBatchHeader(bytes, 0, header);
    bytes.set(packed.body, BATCH_HEADER_BYTES);
    const batch = readBatch(bytes, 0);
    if (batch === undefined) throw new Error('the fake wrote no batch');
    this.batches.push(batch);
    for (const listener of [...this.listeners]) listener();
    return {
      firstId: formatEventId({ counter: baseCounter, actor: header.actor }),
      lastId: this.lastId,
      count: packed.count,
      term: 1,
      logIndex: this.batches.length,
      incarnation: this.incarnation,
    };
  }

  /** All events' data as text, in order. */
  texts(): string[] {
    return this.batches.flatMap((batch) => eventsOf(batch).map((event) => Buffer.from(event.data).toString()));
  }

  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.listeners.delete(done);
        resolve();
      };
      this.listeners.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}

/**
 * What a node does with a batch: append and acknowledge it; answer with a
 * failure; append it without an answer; keep silent; end the whole stream;
 * answer later (a promise).
 */
export type Verdict =
  | 'append'
  | 'append-silently'
  | 'ignore'
  | { failure: Partial<proto.Failure> }
  | { end: FlotillaError }
  | 'kill';

/** A node in this process that speaks the real protocol over a real port, and can be told to misbehave. */
export class FakeNode {
  readonly actor: number;
  readonly log: FakeLog;
  port = 0;
  /** Every batch that arrived, in order. */
  readonly received: { count: number; bytes: number; stamp: proto.ProducerStamp }[] = [];
  /** Emits 'batch' for each of them. */
  readonly arrivals = new EventEmitter();
  readonly reads: proto.ReadRequest[] = [];
  onBatch: (packed: PackedBody, position: number) => Verdict | Promise<Verdict> = () => 'append';
  onRead: (request: proto.ReadRequest, position: number) => void = () => undefined;
  onGet: (id: string) => void = () => undefined;
  /** Batches that one read message carries. */
  batchesPerMessage = 64;
  /** Ends the connection of a read by killing it after so many messages. */
  breakReadAfterMessages = Number.POSITIVE_INFINITY;
  confirmed = true;
  leader: proto.LeaderNotice | undefined;
  nodes: Partial<proto.NodeStatus>[] = [];
  onRemove: (actor: number) => Promise<proto.RemoveMemberResponse> = () =>
    Promise.reject(new FlotillaError('INTERNAL', 'not in this test'));
  onTransfer: (actor: number) => Promise<proto.TransferLeadershipResponse> = () =>
    Promise.reject(new FlotillaError('INTERNAL', 'not in this test'));
  openStreams = 0;
  sentMessages = 0;
  private server: RpcServer | undefined;
  /** Produce streams on which a batch was refused. */
  private readonly refusing = new Set<DuplexStream<proto.ProduceRequest, proto.ProduceResponse>>();

  constructor(actor: number, log: FakeLog) {
    this.actor = actor;
    this.log = log;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  async start(port = this.port): Promise<this> {
    const server = new RpcServer({ onInternalError: (error) => process.emitWarning(String(error)) });
    server.add(proto.EventServiceDefinition, {
      append: () => Promise.reject(new FlotillaError('INTERNAL', 'the fake has no append')),
      produce: (stream, call) => this.produce(stream, call),
      read: (request, stream, call) => this.read(request, stream, call),
      get: (request) => this.get(request),
      openProducer: () => Promise.reject(new FlotillaError('INTERNAL', 'the fake remembers no producers')),
    });
    server.add(proto.ClusterServiceDefinition, {
      formCluster: () => Promise.reject(new FlotillaError('INVALID_ARGUMENT', 'the fake has formed')),
      removeMember: (request) => this.onRemove(request.actorId),
      transferLeadership: (request) => this.onTransfer(request.actorId),
      getStatus: () =>
        Promise.resolve({
          clusterId: 'c'.repeat(32),
          actorId: this.actor,
          activeVersion: 1,
          nodes: this.nodes.map((node) => ({ ...NO_STATUS, ...node })),
        }),
    });
    this.port = await server.listen('127.0.0.1', port);
    server.setServing(true);
    this.server = server;
    return this;
  }

  /** Like SIGKILL: connections break, nothing is said. */
  async kill(): Promise<void> {
    const server = this.server;
    this.server = undefined;
    await server?.close(0);
  }

  /** Tells those whom it has refused, and who still listen, where the leader is. */
  announce(leader: proto.LeaderNotice): void {
    for (const stream of this.refusing)
      void stream.send({ requestId: '0', outcome: { $case: 'leader', value: leader } });
  }

  private async produce(
    stream: DuplexStream<proto.ProduceRequest, proto.ProduceResponse>,
    call: CallContext,
  ): Promise<void> {
    this.openStreams++;
    call.sendHeaders();
    if (this.leader !== undefined)
      void stream.send({ requestId: '0', outcome: { $case: 'leader', value: this.leader } });
    const answers: Promise<void>[] = [];
    // What keeps one stream's batches in order: behind a refused one no other is taken in.
    let refusal: Verdict | undefined;
    try {
      await stream.receive((request) => {
        const { packed, producer: stamp } = request;
        if (packed === undefined || stamp === undefined)
          throw new FlotillaError('INVALID_ARGUMENT', 'the fake takes packed bodies with stamps only');
        checkPackedBody(packed, { eventDataBytes: 32 * 1024 * 1024 });
        const position = this.received.length;
        this.received.push({ count: packed.count, bytes: packed.body.byteLength, stamp });
        const verdict = refusal ?? this.onBatch(packed, position);
        this.arrivals.emit('batch');
        if (typeof verdict === 'object' && 'failure' in verdict && verdict.failure.code === 'NO_LEADER') {
          refusal = verdict;
          this.refusing.add(stream);
        }
        if (verdict instanceof Promise) {
          answers.push(verdict.then((later) => this.answer(stream, request, later)));
          return undefined;
        }
        return this.answer(stream, request, verdict);
      });
      await Promise.all(answers);
    } finally {
      this.openStreams--;
      this.refusing.delete(stream);
    }
  }

  private answer(
    stream: ServerStream<proto.ProduceResponse>,
    { requestId, packed, producer }: proto.ProduceRequest,
    verdict: Verdict,
  ): Promise<void> | undefined {
    if (verdict === 'ignore') return undefined;
    if (verdict === 'kill') return this.kill();
    const fail = (failure: Partial<proto.Failure>): Promise<void> | undefined => {
      const value = { code: 'INTERNAL', message: 'told to', leader: '', ...failure };
      return stream.send({ requestId, outcome: { $case: 'failure', value } });
    };
    if (typeof verdict === 'object') {
      if ('end' in verdict) throw verdict.end;
      return fail(verdict.failure);
    }
    if (packed === undefined || producer === undefined) return undefined;
    try {
      const receipt = this.log.appendStamped(packed, this.actor, producer);
      if (verdict === 'append-silently') return undefined;
      return stream.send({ requestId, outcome: { $case: 'receipt', value: receipt } });
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      return fail({ code: error.code, message: error.message });
    }
  }

  private async get({ id }: proto.GetRequest): Promise<proto.GetResponse> {
    this.onGet(id);
    const events = this.log.batches.flatMap((batch) => eventsOf(batch)).map(eventToProto);
    const event = events.find((each) => each.id === id);
    if (event === undefined) throw new FlotillaError('NOT_FOUND', `id: the stream has no event ${id}`);
    return { event };
  }

  private async read(
    request: proto.ReadRequest,
    stream: ServerStream<proto.ReadResponse>,
    call: CallContext,
  ): Promise<void> {
    this.reads.push(request);
    this.onRead(request, this.reads.length - 1);
    const glob = compileGlob(request.glob === '' ? '/**/*' : request.glob);
    let after = request.startAfter === '' ? 0 : parseEventId(request.startAfter, 'start_after').counter;
    const before =
      request.endBefore === '' ? Number.POSITIVE_INFINITY : parseEventId(request.endBefore, 'end_before').counter;
    const atMost = request.endAt === '' ? Number.POSITIVE_INFINITY : parseEventId(request.endAt, 'end_at').counter;
    const { backwards } = request;
    // Of a backwards read: what there is when it begins.
    const batches = backwards ? this.log.batches.toReversed() : this.log.batches;
    let left = request.limit === 0 ? Number.POSITIVE_INFINITY : request.limit;
    let messages = 0;
    await stream.send({
      content: {
        $case: 'started',
        value: { incarnation: this.log.incarnation, endId: this.log.lastId, confirmed: this.confirmed },
      },
    });
    let next = 0;
    for (;;) {
      while (next < batches.length && left > 0) {
        const group = batches.slice(next, next + this.batchesPerMessage);
        next += group.length;
        for (const content of contentsOf(group, {
          glob,
          after,
          before: Math.min(before, atMost + 1),
          backwards,
          limit: left,
        })) {
          if (messages >= this.breakReadAfterMessages) {
            await this.kill();
            return;
          }
          messages++;
          this.sentMessages++;
          left -= content.count;
          await stream.send({ content: content.content });
        }
        if (!backwards)
          after = Math.max(after, (group.at(-1)?.header.baseCounter ?? 1) + (group.at(-1)?.header.count ?? 0) - 1);
      }
      if (!request.tail || left <= 0) return;
      if (next >= this.log.batches.length) await this.log.changed(call.signal);
      if (call.signal.aborted) return;
    }
  }
}

type Content = Extract<proto.ReadResponse['content'], { $case: 'events' | 'batches' }>;

/** Whole batches packed, parts of batches as plain events, in order. */
function contentsOf(
  batches: readonly StoredBatch[],
  {
    glob,
    after,
    before,
    backwards,
    limit,
  }: { glob: Glob; after: number; before: number; backwards: boolean; limit: number },
): { content: Content; count: number }[] {
  const contents: { content: Content; count: number }[] = [];
  let left = limit;
  for (const batch of batches) {
    if (left <= 0) break;
    const selection = selectEvents(batch, glob, after, before);
    if (selection === 'none') continue;
    if (selection === 'all' && batch.header.count <= left) {
      const last = contents.at(-1);
      if (last?.content.$case === 'batches') {
        last.content.value.batches.push(batch.bytes);
        last.count += batch.header.count;
      } else {
        contents.push({ content: { $case: 'batches', value: { batches: [batch.bytes] } }, count: batch.header.count });
      }
      left -= batch.header.count;
    } else {
      const selected = eventsOf(batch, selection);
      const events = (backwards ? selected.reverse() : selected).slice(0, left).map(eventToProto);
      contents.push({ content: { $case: 'events', value: { events } }, count: events.length });
      left -= events.length;
    }
  }
  return contents;
}

const NO_STATUS: proto.NodeStatus = {
  actorId: 0,
  address: '',
  role: proto.NodeRole.UNSPECIFIED,
  term: 0,
  commitIndex: 0,
  lastIndex: 0,
  lag: 0,
  reachable: false,
  version: '',
};
