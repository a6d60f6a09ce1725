import { DEFAULT_GLOB } from '../event/index.js';
import { checkSettingsChanges, type SettingsChanges } from '../machine/stream/index.js';
import { authorize } from './authorize.js';
import type { Caller } from './caller.js';
import { listNamespaces, type NamespaceSummary, type NamespacesRequest } from './namespaces.js';
import type { Reading } from './reading.js';
import { infoOf, type StreamInfo } from './stream-info.js';
import { findStream, type Streams, withLeader } from './streams.js';

const FIELDS: Readonly<Record<keyof SettingsChanges, string>> = {
  maxEvents: 'settings.max_events',
  maxBytes: 'settings.max_bytes',
  maxAgeMs: 'settings.max_age_ms',
};

/** What streams there are, what they hold, and how they are set. An empty name is that of the default stream. */
export class StreamUseCases {
  private readonly streams: Streams;
  private readonly reading: Reading;

  constructor(options: { readonly streams: Streams; readonly reading: Reading }) {
    this.streams = options.streams;
    this.reading = options.reading;
  }

  async show(caller: Caller, name: string): Promise<StreamInfo> {
    authorize(caller, 'read', name);
    return await infoOf(findStream(this.streams, name), name);
  }

  /** Changes settings; resolves when they are in force here, with the stream as it is then. */
  async change(caller: Caller, name: string, changes: SettingsChanges): Promise<StreamInfo> {
    authorize(caller, 'manage', name);
    const stream = findStream(this.streams, name);
    checkSettingsChanges(changes, (setting) => FIELDS[setting]);
    try {
      await stream.changeSettings(changes);
    } catch (error) {
      throw withLeader(error, this.streams.leaderAddress(stream));
    }
    return await infoOf(stream, name);
  }

  /** The namespaces of a stream in order, some at a time. */
  async *namespaces(
    caller: Caller,
    request: NamespacesRequest,
    signal: AbortSignal,
  ): AsyncGenerator<readonly NamespaceSummary[], void, void> {
    authorize(caller, 'read', request.stream, [request.glob || DEFAULT_GLOB]);
    this.reading.enter();
    try {
      yield* listNamespaces({ streams: this.streams, reading: this.reading }, request, signal);
    } finally {
      this.reading.leave();
    }
  }
}
