import { join } from 'node:path';
import type { GroupId } from '../base/index.js';
import type { HardState } from '../raft/index.js';
import { type Disk, readSlots } from '../storage/disk/index.js';
import { decodeHardState, hardStatePath, markerPath, olderCopyOf, segmentsPath } from '../storage/group/index.js';

import { beginOf, decodeMarker, type Marker, stagedPath } from '../storage/log/index.js';
import {
  type ContentsSummary,
  databasePath,
  readFooter,
  readHeader,
  type SegmentHeader,
  segmentSequenceOf,
} from '../storage/segment/index.js';

/** A file that was read: its content, that it is not there, or what is wrong with it. */
export type Found<Content> =
  | { readonly kind: 'sound'; readonly content: Content }
  | { readonly kind: 'missing' }
  | { readonly kind: 'damaged'; readonly why: unknown };

/** One of the two-slot files. */
export interface FoundSlots<Content> {
  readonly path: string;
  readonly newest: Found<Content>;
  readonly damagedSlots: readonly number[];
}

export interface FoundSegment {
  readonly sequence: number;
  readonly directory: string;
  /** Missing: it was opened ahead, and is empty. */
  readonly header: Found<SegmentHeader>;
  /** Missing: it is open. */
  readonly footer: Found<ContentsSummary>;
  /** Whether its database holds nothing, as far as its files tell. */
  readonly isEmpty: boolean;
}

/** The files of one group as they stand there; only the databases have not been looked into. */
export interface GroupView {
  readonly group: GroupId;
  readonly path: string;
  readonly hardState: FoundSlots<HardState>;
  /** What tells that the group's files are not the latest ones, though each is sound. */
  readonly older: string | undefined;
  readonly marker: FoundSlots<Marker>;
  /** Undefined where the folder is missing. */
  readonly segments: readonly FoundSegment[] | undefined;
}

/** Reads a group's small files and changes none. `stampedBoot` is of the node's identity, where that can be read. */
export async function viewGroup(disk: Disk, path: string, group: GroupId, stampedBoot?: number): Promise<GroupView> {
  let older: string | undefined;
  const hardState = await viewSlots(disk, hardStatePath(path), (payload) => {
    const { state, boot } = decodeHardState(payload);
    older = olderCopyOf(boot, stampedBoot);
    return state;
  });
  const marker = await viewSlots(disk, markerPath(path), decodeMarker);
  return { group, path, hardState, older, marker, segments: await viewSegments(disk, path, group, marker.newest) };
}

async function viewSlots<Content>(
  disk: Disk,
  path: string,
  decode: (payload: Uint8Array) => Content,
): Promise<FoundSlots<Content>> {
  const slots = await readSlots(disk, path);
  if (slots === undefined) return { path, newest: { kind: 'missing' }, damagedSlots: [] };
  const { newest, damaged } = slots;
  return {
    path,
    newest:
      newest === undefined
        ? { kind: 'damaged', why: 'neither of its two slots is valid' }
        : { kind: 'sound', content: decode(newest) },
    damagedSlots: damaged,
  };
}

async function viewSegments(
  disk: Disk,
  path: string,
  group: GroupId,
  marker: Found<Marker>,
): Promise<FoundSegment[] | undefined> {
  const segments = await segmentsInForce(disk, path, group, marker);
  const names = await disk.list(segments).catch(() => undefined);
  if (names === undefined) return undefined;
  const found: FoundSegment[] = [];
  for (const name of names.sort()) {
    const sequence = segmentSequenceOf(name);
    if (sequence === undefined) continue;
    const directory = join(segments, name);
    found.push({
      sequence,
      directory,
      header: await look(readHeader(disk, directory, group, sequence)),
      footer: await look(readFooter(disk, directory)),
      isEmpty: await disk.databaseIsEmpty(databasePath(directory)),
    });
  }
  return found;
}

/** A crash while a snapshot took the log's place leaves both; the marker says which one the next start goes on with. */
async function segmentsInForce(disk: Disk, path: string, group: GroupId, marker: Found<Marker>): Promise<string> {
  const current = segmentsPath(path);
  const staged = stagedPath(current);
  if (marker.kind !== 'sound' || !(await disk.list(path)).includes('segments-staged')) return current;
  const begin = await look(beginOf(staged, group, disk));
  return begin.kind === 'sound' && begin.content === marker.content.beginIndex ? staged : current;
}

async function look<Content>(reading: Promise<Content | undefined>): Promise<Found<Content>> {
  try {
    const content = await reading;
    return content === undefined ? { kind: 'missing' } : { kind: 'sound', content };
  } catch (why) {
    return { kind: 'damaged', why };
  }
}
