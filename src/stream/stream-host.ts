import { type ActorId, FlotillaError, type GroupId, type Random } from '../base/index.js';
import type { ProducerStamp } from '../event/index.js';
import type { Clock, GroupHost, OwnOptions } from '../group/index.js';
import type { Proposed } from '../machine/index.js';
import type { StreamSettings } from '../machine/stream/index.js';
import type { PackedBody } from '../wire/index.js';
import type { BatchTransport, StreamStorage } from './ports.js';
import { Stream, type StreamObserver } from './stream.js';
import { streamOn } from './stream-group.js';

export interface StreamHostOptions {
  readonly groups: GroupHost;
  readonly storage: StreamStorage;
  readonly transport: BatchTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly onFatal: (error: unknown) => void;
}

/** What differs from stream to stream. */
export interface HostedStream extends OwnOptions {
  readonly streamObserver?: StreamObserver;
  readonly initialSettings?: StreamSettings;
  readonly retentionCheckMs?: number;
}

/** The streams that a node takes part in. */
export class StreamHost {
  private readonly options: StreamHostOptions;
  private readonly streams = new Map<GroupId, Stream>();

  constructor(options: StreamHostOptions) {
    this.options = options;
  }

  /** Adds a stream with a group that is in the storage. */
  add(hosted: HostedStream): Stream {
    const { streamObserver, initialSettings, retentionCheckMs } = hosted;
    const { groups, storage, transport, clock, random, onFatal } = this.options;
    const group = groups.add(hosted, streamOn(hosted.group, transport));
    const { deadlines } = groups;
    const stream = new Stream({
      group,
      stored: storage.group(group.id),
      clock,
      deadlines,
      random,
      onFatal,
      ...(streamObserver === undefined ? {} : { observer: streamObserver }),
      ...(initialSettings === undefined ? {} : { initialSettings }),
      ...(retentionCheckMs === undefined ? {} : { retentionCheckMs }),
    });
    this.streams.set(group.id, stream);
    return stream;
  }

  get(group: GroupId): Stream | undefined {
    return this.streams.get(group);
  }

  get all(): Iterable<Stream> {
    return this.streams.values();
  }

  /** A batch that `from` took in. */
  async onForward(from: ActorId, group: GroupId, body: PackedBody, stamp: ProducerStamp): Promise<Proposed> {
    const stream = this.streams.get(group);
    if (stream === undefined)
      throw new FlotillaError('NOT_LEADER', `group ${group} is not on this node; the batch was not proposed`);
    return await stream.proposeFor(from, body, stamp);
  }
}
