import { join } from 'node:path';
import { type ErrorCode, FlotillaError } from '../../base/index.js';
import type { NamespaceCursor, NamespaceRange } from '../../stream/index.js';
import type { Disk } from '../disk/index.js';
import { buildIndex, type IndexedSegment } from './build-index.js';
import { IndexFile } from './index-file.js';
import { IndexRows } from './index-rows.js';
import type { Pace } from './pace.js';

/**
 * What is known of a segment's index: `missing` also where it is damaged, `impossible` where its records can't be read.
 */
type State = 'unknown' | 'present' | 'missing' | 'impossible';

export function namespacesPath(directory: string): string {
  return join(directory, 'namespaces');
}

/** The `namespaces` file of one segment. */
export class SegmentNamespaces {
  private readonly disk: Disk;
  private readonly path: string;
  private readonly segment: IndexedSegment;
  private state: State = 'unknown';
  private making: { readonly pace: Pace; readonly done: Promise<void> } | undefined;
  private retired = false;

  constructor(disk: Disk, directory: string, segment: IndexedSegment) {
    this.disk = disk;
    this.path = namespacesPath(directory);
    this.segment = segment;
  }

  /** Whether it would have to be made before it can be used. */
  get isMissing(): boolean {
    return this.state === 'missing';
  }

  /** Undefined where there is no index that fits. */
  async open(): Promise<IndexFile | undefined> {
    // One that is being made may have got its name by now.
    if (this.state === 'impossible' || (this.state === 'missing' && this.making === undefined)) return undefined;
    const file = await IndexFile.open(this.disk, this.path, this.segment.tail);
    this.state = file === undefined ? 'missing' : 'present';
    return file;
  }

  /** What was read from it was not what had been written. */
  noteDamage(): void {
    if (this.state === 'present') this.state = 'missing';
  }

  /** Reads all of it: one that is damaged counts as missing from then on. */
  async verify(): Promise<void> {
    if (this.making !== undefined) return;
    try {
      await this.using((file) => file.verify());
    } catch (error) {
      if (!(error instanceof FlotillaError) || error.code !== 'DATA_LOSS') throw error;
      this.noteDamage();
    }
  }

  /** Runs an action with the index open; undefined where there is none that fits. */
  async using<Result>(action: (file: IndexFile) => Promise<Result>): Promise<Result | undefined> {
    const file = await this.open();
    if (file === undefined) return undefined;
    try {
      return await action(file);
    } finally {
      await file.close();
    }
  }

  /** Undefined where there is no index. */
  async rows({ prefix, after }: NamespaceRange): Promise<NamespaceCursor | undefined> {
    return IndexRows.of((action) => this.using(action), Buffer.from(prefix), Buffer.from(after));
  }

  /** Makes the index where there is none that fits. */
  async ensure(pace: Pace): Promise<void> {
    if (this.retired || this.making !== undefined) return;
    const done = this.make(pace);
    // Cancelling only waits for its end; the failure is the caller's.
    this.making = { pace, done: done.catch(() => undefined) };
    try {
      await done;
    } finally {
      this.making = undefined;
    }
  }

  /** Nothing is written any more when it resolves. */
  async cancel(): Promise<void> {
    this.making?.pace.cancel();
    await this.making?.done;
  }

  /** The same, for good: the directory is about to go. */
  async retire(): Promise<void> {
    this.retired = true;
    await this.cancel();
  }

  /** The segment is about to be written to again. */
  async remove(): Promise<void> {
    await this.cancel();
    this.state = 'unknown';
    await this.disk.remove(this.path);
  }

  private async make(pace: Pace): Promise<void> {
    const file = await this.open();
    await file?.close();
    if (this.state !== 'missing') return;
    try {
      pace.restart();
      await buildIndex(this.disk, this.path, this.segment, pace);
      this.state = 'present';
    } catch (error) {
      if (error instanceof FlotillaError && !PASSING.has(error.code)) this.state = 'impossible';
      throw error;
    }
  }
}

/** Failures after which an index may be made another time. */
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['CANCELLED', 'DISK_NEARLY_FULL']);
