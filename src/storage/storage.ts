import { join } from 'node:path';
import { defaultSegmentBytes, FlotillaError, type GroupId, messageOf } from '../base/index.js';
import type { Clock, MachineKinds, PersistRequest, RecordSource } from '../group/index.js';
import type { StreamLog, StreamStorage } from '../stream/index.js';
import type { NodeDirectory } from './directory/index.js';
import { type Disk, removeDirectory } from './disk/index.js';

import {
  bytesOf,
  createGroupFiles,
  findGroups,
  type GroupStore,
  mergeByGroup,
  type NewGroup,
  openGroup,
  type WaitingWrite,
  WriteQueue,
} from './group/index.js';

import { nodeDisk } from './level/index.js';
import { Scrubber } from './log/index.js';
import { NamespaceIndexer } from './namespace-index/index.js';
import {
  type DatabaseSettings,
  type Healing,
  type HealingObserver,
  OpenDatabaseCache,
  UNOBSERVED,
} from './segment/index.js';

export interface StorageOptions {
  readonly directory: Pick<NodeDirectory, 'path' | 'groupsPath' | 'identity'>;
  readonly clock: Clock;
  readonly machines: MachineKinds;
  /** What the directory is on. Default: {@link nodeDisk}. */
  readonly disk?: Disk;
  /** A segment that holds more is sealed and the next one begun. Default: `defaultSegmentBytes()`. */
  readonly segmentBytes?: number;
  /** Whether sealed segments get their namespace index, in the background. Default: they do. */
  readonly indexing?: boolean;
  /** Whether the disk has space for what can wait. Default: it has. */
  readonly isDiskOk?: () => boolean;
  /** Told of damage and its repair. */
  readonly observer?: HealingObserver;
  /** Called once, with the first failure: the process must stop, and verify its data on the next start. */
  readonly onFailure?: (error: unknown) => void;
}

/**
 * Opens and verifies every group in a node's directory. Throws DATA_LOSS where
 * one is not what this node has acknowledged: the node must not vote.
 */
export async function openStorage(options: StorageOptions): Promise<LevelStorage> {
  const storage = new LevelStorage(options);
  try {
    await storage.openGroups();
  } catch (error) {
    await storage.abandon();
    throw error;
  }
  return storage;
}

/** {@link Storage} in files and databases, one database a segment. */
export class LevelStorage implements StreamStorage {
  private readonly directory: StorageOptions['directory'];
  private readonly settings: DatabaseSettings;
  private readonly onFailure: ((error: unknown) => void) | undefined;
  private readonly stores = new Map<GroupId, GroupStore>();
  private readonly indexer: NamespaceIndexer;
  private readonly queue = new WriteQueue();
  private readonly healing: Healing;
  private readonly scrubber: Scrubber;
  private writing: Promise<void> | undefined;
  /** The first failed write. LevelDB's handle may lie after it, so nothing is ever written again. */
  private failure: FlotillaError | undefined;
  private closed = false;
  private written = 0;

  /** @internal Use {@link openStorage}. */
  constructor({
    directory,
    clock,
    machines,
    disk = nodeDisk,
    segmentBytes = defaultSegmentBytes(),
    indexing = true,
    isDiskOk,
    observer = UNOBSERVED,
    onFailure,
  }: StorageOptions) {
    const fail = (error: unknown): void => this.fail(error);
    this.directory = directory;
    this.onFailure = onFailure;
    this.indexer = new NamespaceIndexer(clock, fail, isDiskOk);
    this.healing = { source: undefined, observer };
    const settings = {
      disk,
      clock,
      segmentBytes,
      machines,
      openDatabases: new OpenDatabaseCache(clock, fail),
      healing: this.healing,
      onFailure: fail,
    };
    this.settings = indexing ? { ...settings, indexer: this.indexer } : settings;
    this.scrubber = new Scrubber({ clock, observer, logs: () => [...this.stores.values()] });
  }

  /** @internal */
  async openGroups(): Promise<void> {
    for (const id of await findGroups(this.settings.disk, this.directory.groupsPath)) {
      const store = await openGroup(this.pathOf(id), id, this.directory.identity, this.settings);
      this.stores.set(id, store);
      if (this.directory.identity.clusterId !== undefined || store.untouched) continue;
      throw new FlotillaError(
        'FOREIGN_NODE',
        `${this.pathOf(id)} holds records and ${this.directory.path} belongs to no cluster: its identity file ` +
          'was replaced; put the right one back',
      );
    }
  }

  /** Begins to fetch what is damaged from `source`, and to verify all that is sealed in the background. */
  heal(source: RecordSource): void {
    this.healing.source = source;
    this.scrubber.start();
  }

  /** Ascending. */
  groups(): GroupId[] {
    return [...this.stores.keys()].sort((a, b) => a - b);
  }

  /** Bytes of records that were written so far. */
  get bytesWritten(): number {
    return this.written;
  }

  /** Nothing is being written, or waits for it. */
  get isIdle(): boolean {
    return this.writing === undefined && this.queue.length === 0;
  }

  group(id: GroupId): StreamLog {
    return this.storeOf(id);
  }

  /**
   * Makes an empty group, durably. Groups are made before the directory joins
   * its cluster; what an interrupted formation left, and was never written to,
   * is replaced.
   */
  async createGroup(created: NewGroup): Promise<StreamLog> {
    if (this.failure !== undefined) throw this.failure;
    const path = this.pathOf(created.group);
    const present = this.stores.get(created.group);
    if (present !== undefined) {
      if (this.directory.identity.clusterId !== undefined || !present.untouched) {
        throw new FlotillaError('INVALID_ARGUMENT', `group ${created.group} exists already in ${path}`);
      }
      this.stores.delete(created.group);
      await present.close(false);
      await removeDirectory(this.settings.disk, path);
    }
    await createGroupFiles(path, created, this.settings);
    // No start before this one can have written to it.
    const { bootCounter } = this.directory.identity;
    const store = await openGroup(path, created.group, { bootCounter }, this.settings);
    this.stores.set(created.group, store);
    return store;
  }

  persist(requests: readonly PersistRequest[]): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    if (this.closed) return Promise.reject(new FlotillaError('SHUTTING_DOWN', 'the storage is closed'));
    const unknown = requests.find(({ group }) => !this.stores.has(group));
    if (unknown !== undefined) return Promise.reject(notStored(unknown.group));
    return new Promise((resolve, reject) => {
      this.queue.push({ requests, bytes: bytesOf(requests), resolve, reject });
      this.writing ??= this.writeWaiting();
    });
  }

  /** Finishes what was asked for, then closes everything. */
  async close(): Promise<void> {
    this.closed = true;
    await this.writing;
    const { failure } = this;
    await this.abandon();
    if (this.failure !== undefined && this.failure !== failure) throw this.failure;
  }

  /** @internal Closes without waiting for writes. */
  async abandon(): Promise<void> {
    this.scrubber.stop();
    const stores = [...this.stores.values()];
    this.stores.clear();
    await this.indexer.stop();
    const closed = await Promise.allSettled(
      stores.map((store) => store.close(this.failure === undefined && this.closed)),
    );
    await this.scrubber.ended();
    this.settings.openDatabases.stop();
    for (const outcome of closed) if (outcome.status === 'rejected') this.fail(outcome.reason);
  }

  /** Never rejects: a failure goes to the waiting callers and to `onFailure`. */
  private async writeWaiting(): Promise<void> {
    while (this.queue.length > 0) {
      const group = this.queue.takeGroup();
      const stores = await this.writeGroup(group);
      for (const { bytes } of group) this.written += bytes;
      // The failure may also have been the marker's, beside this write.
      for (const call of group) this.failure === undefined ? call.resolve() : call.reject(this.failure);
      await this.settle(stores);
    }
    this.writing = undefined;
  }

  private async writeGroup(calls: readonly WaitingWrite[]): Promise<GroupStore[]> {
    const stores: GroupStore[] = [];
    this.indexer.noteUse();
    try {
      const writes: Promise<void>[] = [];
      for (const [id, write] of mergeByGroup(calls.flatMap(({ requests }) => requests))) {
        const store = this.storeOf(id);
        stores.push(store);
        writes.push(store.write(write));
      }
      await Promise.all(writes);
    } catch (error) {
      this.fail(error);
    }
    return stores;
  }

  private async settle(stores: readonly GroupStore[]): Promise<void> {
    if (this.failure !== undefined) return;
    try {
      for (const store of stores) await store.settle();
    } catch (error) {
      this.fail(error);
    }
  }

  private fail(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure =
      error instanceof FlotillaError
        ? error
        : new FlotillaError('INTERNAL', `a write failed; the node must stop: ${messageOf(error)}`, { cause: error });
    for (const call of this.queue.drain()) call.reject(this.failure);
    this.onFailure?.(this.failure);
  }

  private storeOf(id: GroupId): GroupStore {
    const store = this.stores.get(id);
    if (store === undefined) throw notStored(id);
    return store;
  }

  private pathOf(id: GroupId): string {
    return join(this.directory.groupsPath, String(id));
  }
}

function notStored(id: GroupId): FlotillaError {
  return new FlotillaError('NOT_FOUND', `group ${id} is not stored on this node`);
}
