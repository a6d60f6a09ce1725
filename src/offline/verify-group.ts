import { join } from 'node:path';
import { type LogIndex, messageOf } from '../base/index.js';
import { nodeDisk } from '../storage/level/index.js';
import type { Marker } from '../storage/log/index.js';
import { namespacesPath, verifyIndex } from '../storage/namespace-index/index.js';
import {
  type ContentsSummary,
  checkpointPath,
  databasePath,
  footerPath,
  headerPath,
  readCheckpoint,
  type SegmentHeader,
} from '../storage/segment/index.js';
import type { LogTail } from '../wire/index.js';

import { withDatabaseView } from './database-view.js';
import type { FoundSegment, FoundSlots, GroupView } from './group-view.js';
import { SegmentScan } from './segment-scan.js';

/** Something on disk that is not what was written. */
export interface Damage {
  readonly file: string;
  /** The records that are concerned, where it is records. */
  readonly records?: { readonly from: LogIndex; readonly to: LogIndex };
  readonly what: string;
  /** What to do about it. */
  readonly remedy: Remedy;
}

/**
 * `start`: the next start repairs it from what is left. `refetch`: the node
 * serves the rest, and what is damaged is another member's to give.
 * `replace`: the node can't be trusted with a vote any more.
 */
export type Remedy = 'start' | 'refetch' | 'replace';

export interface VerifiedGroup {
  readonly group: number;
  readonly segments: number;
  readonly records: number;
  readonly events: number;
  readonly bytes: number;
  readonly damages: readonly Damage[];
  /** What a crash may leave and the next start removes. */
  readonly notes: readonly string[];
}

/** Told now and then how much has been read. */
export type OnProgress = (progress: { readonly file: string; readonly records: number }) => void;

/** Checks everything that one group has on disk; see {@link verifyNode}. */
export async function verifyGroup(
  view: GroupView,
  scratchPath: string,
  onProgress: OnProgress,
): Promise<VerifiedGroup> {
  const verification = new GroupVerification(view, scratchPath, onProgress);
  return await verification.run();
}

class GroupVerification {
  private readonly view: GroupView;
  private readonly scratchPath: string;
  private readonly onProgress: OnProgress;
  private readonly damages: Damage[] = [];
  private readonly notes: string[] = [];
  private records = 0;
  private events = 0;
  private bytes = 0;
  private metMarker = false;

  constructor(view: GroupView, scratchPath: string, onProgress: OnProgress) {
    this.view = view;
    this.scratchPath = scratchPath;
    this.onProgress = onProgress;
  }

  async run(): Promise<VerifiedGroup> {
    const { view } = this;
    this.checkSlots(view.hardState);
    if (view.older !== undefined) this.damaged(view.hardState.path, view.older, 'replace');
    this.checkSlots(view.marker);
    const segments = this.segmentsInForce();
    let tail: LogTail | undefined;
    for (const [position, segment] of segments.entries()) {
      tail = await this.verifySegment(segment, tail, segments[position + 1]);
    }
    this.checkEnd(tail);
    const { group } = view;
    const { records, events, bytes, damages, notes } = this;
    return { group, segments: segments.length, records, events, bytes, damages, notes };
  }

  private checkSlots({ path, newest, damagedSlots }: FoundSlots<unknown>): void {
    if (newest.kind === 'missing') this.damaged(path, 'missing', 'replace');
    else if (newest.kind === 'damaged') this.damaged(path, messageOf(newest.why), 'replace');
    else
      for (const slot of damagedSlots)
        this.damaged(path, `slot ${slot} of two is damaged; the other one is sound`, 'start');
  }

  /** Without what is opened ahead, or given up and not yet removed. */
  private segmentsInForce(): FoundSegment[] {
    const { view } = this;
    const found = view.segments;
    if (found === undefined || found.length === 0) {
      this.damaged(join(view.path, 'segments'), 'the log is missing', 'replace');
      return [];
    }
    const youngest = found.at(-1);
    const used = found.filter((segment) => {
      if (segment.header.kind !== 'missing') return true;
      if (segment === youngest && segment.isEmpty) return false;
      this.damaged(headerPath(segment.directory), 'missing, and the segment holds records', 'replace');
      return false;
    });
    const begin = this.marker?.beginIndex;
    const first = used.findIndex(({ header }) => header.kind === 'sound' && header.content.before.index === begin);
    for (const { directory } of used.slice(0, Math.max(first, 0)))
      this.notes.push(`${directory} was given up; the next start removes it`);
    if (first === -1 && begin !== undefined && used.every(({ header }) => header.kind === 'sound'))
      this.damaged(
        join(view.path, 'segments'),
        `no segment begins after record ${begin}, where the log should`,
        'replace',
      );
    return used.slice(Math.max(first, 0));
  }

  /** Resolves with what the log ends with as of this segment; undefined where that can't be said. */
  private async verifySegment(
    segment: FoundSegment,
    before: LogTail | undefined,
    next: FoundSegment | undefined,
  ): Promise<LogTail | undefined> {
    const { directory, header } = segment;
    if (header.kind !== 'sound') {
      this.damaged(headerPath(directory), header.kind === 'damaged' ? messageOf(header.why) : 'missing', 'replace');
      return undefined;
    }
    this.checkContinuation(directory, header.content, before);
    await this.checkCheckpoint(directory, header.content);
    const remedy = next === undefined ? 'replace' : 'refetch';
    const scan = await this.scan(directory, header.content, remedy);
    const footer = this.footerOf(segment, next !== undefined);
    const end = footer?.tail ?? (next?.header.kind === 'sound' ? next.header.content.before : undefined);
    // A footer on the youngest is left by a crash, and all that it names was there before.
    if (end !== undefined) scan.requireThrough(end.index);
    else if (next === undefined && this.marker !== undefined) scan.requireThrough(this.marker.index);
    for (const { from, to, what } of scan.damages)
      this.damages.push({ file: databasePath(directory), records: { from, to }, what, remedy });
    if (scan.damages.length > 0) return end;
    if (footer !== undefined) this.compareFooter(directory, footer, scan);
    await this.checkIndex(directory, scan.contents.tail);
    return scan.contents.tail;
  }

  /** One that is missing may not have been due yet; the state that a log begins with is nowhere else. */
  private async checkCheckpoint(directory: string, { before }: SegmentHeader): Promise<void> {
    if (before.index === 0) return;
    const file = checkpointPath(directory);
    const isFirst = this.marker?.beginIndex === before.index;
    if (!isFirst && (await nodeDisk.readFile(file)) === undefined) return;
    try {
      await readCheckpoint(nodeDisk, { directory, before });
    } catch (error) {
      this.damaged(file, messageOf(error), isFirst ? 'replace' : 'start');
    }
  }

  private async checkIndex(directory: string, tail: LogTail): Promise<void> {
    const file = namespacesPath(directory);
    try {
      await verifyIndex(nodeDisk, file, tail);
    } catch (error) {
      this.damaged(file, messageOf(error), 'start');
    }
  }

  private checkContinuation(
    directory: string,
    { before, group, sequence, incarnation }: SegmentHeader,
    tail: LogTail | undefined,
  ): void {
    const oldest = this.view.segments?.find(({ header }) => header.kind === 'sound')?.header;
    if (oldest?.kind === 'sound' && oldest.content.incarnation !== incarnation)
      this.damaged(headerPath(directory), `segment ${sequence} of group ${group} is of another incarnation`, 'replace');
    if (tail === undefined) return;
    const continues =
      before.index === tail.index && before.checksum === tail.checksum && before.nextCounter === tail.nextCounter;
    if (continues && before.term === tail.term) return;
    const gap = before.index > tail.index ? `: records ${tail.index + 1} to ${before.index} are missing` : '';
    this.damaged(
      headerPath(directory),
      `it builds on record ${before.index}, and the segment before it ends with record ${tail.index}${gap}`,
      'replace',
    );
  }

  private async scan(directory: string, { before }: SegmentHeader, remedy: Remedy): Promise<SegmentScan> {
    const marker = this.marker;
    let read = 0;
    const scan = new SegmentScan(before, (record) => {
      this.events += record.eventCount;
      if (marker?.index === record.index)
        this.metMarker = record.term === marker.term && record.checksum === marker.checksum;
      if (++read % 10_000 === 0) this.onProgress({ file: directory, records: this.records + read });
    });
    if (marker?.index === before.index)
      this.metMarker = before.term === marker.term && before.checksum === marker.checksum;
    const path = databasePath(directory);
    try {
      await withDatabaseView(path, this.scratchPath, (database) => scan.run(database));
    } catch (error) {
      this.damaged(path, messageOf(error), remedy);
    }
    this.records += scan.records;
    this.bytes += scan.bytes;
    this.onProgress({ file: directory, records: this.records });
    return scan;
  }

  private footerOf({ directory, footer }: FoundSegment, sealed: boolean): ContentsSummary | undefined {
    if (footer.kind === 'sound') return footer.content;
    if (footer.kind === 'damaged') this.damaged(footerPath(directory), messageOf(footer.why), 'start');
    else if (sealed) this.damaged(footerPath(directory), 'missing', 'start');
    return undefined;
  }

  private compareFooter(directory: string, footer: ContentsSummary, scan: SegmentScan): void {
    const { tail, termStarts, memberships } = scan.contents.summary();
    const same =
      JSON.stringify([tail, termStarts, memberships]) ===
      JSON.stringify([footer.tail, footer.termStarts, footer.memberships]);
    if (!same)
      this.damaged(
        footerPath(directory),
        `it speaks of records up to ${footer.tail.index} that are not those of the segment`,
        'replace',
      );
  }

  private checkEnd(tail: LogTail | undefined): void {
    const { hardState } = this.view;
    const { marker } = this;
    if (tail === undefined || marker === undefined) return;
    if (marker.index > tail.index) {
      this.damaged(
        this.view.marker.path,
        `it says that the log holds record ${marker.index}, and the log ends with record ${tail.index}`,
        'replace',
      );
    } else if (!this.metMarker && this.damages.every(({ records }) => records === undefined)) {
      this.damaged(
        this.view.marker.path,
        `record ${marker.index} is not the one that it speaks of: they are of different histories`,
        'replace',
      );
    }
    if (hardState.newest.kind === 'sound' && hardState.newest.content.term < tail.term)
      this.damaged(
        hardState.path,
        `its term ${hardState.newest.content.term} is older than the log's ${tail.term}: it was rolled back`,
        'replace',
      );
  }

  private get marker(): Marker | undefined {
    const { newest } = this.view.marker;
    return newest.kind === 'sound' ? newest.content : undefined;
  }

  private damaged(file: string, what: string, remedy: Remedy): void {
    this.damages.push({ file, what: what.startsWith(file) ? what.slice(file.length).trimStart() : what, remedy });
  }
}
