import { dirname, join } from 'node:path';
import { FlotillaError, type GroupId, type LogIndex } from '../../base/index.js';
import type { Checkpoint } from '../../wire/index.js';
import { type Disk, isRemoved, removeDirectory } from '../disk/index.js';
import {
  type DatabaseSettings,
  originOf,
  prepareSegment,
  readHeader,
  Segment,
  type SegmentHeader,
  segmentSequenceOf,
  writeCheckpoint,
} from '../segment/index.js';

/*
 * A snapshot takes the place of a whole log in three steps, so that a crash at
 * any point leaves the old log or the new one:
 *
 * 1. the new log, an empty segment that builds on the snapshot, is made durable
 *    beside the old one, as `segments-staged/`;
 * 2. the marker says, durably and in both slots, that the log begins there;
 * 3. the old segments go, and the new ones get their name.
 *
 * A start that finds a staged log goes on with step 3 where the marker speaks of
 * that log, and else removes it.
 */

export const stagedPath = (segmentsPath: string): string => join(dirname(segmentsPath), 'segments-staged');

/** Step 1. */
export async function stageSegments(
  segmentsPath: string,
  { group, machine }: Pick<SegmentHeader, 'group' | 'machine'>,
  { sequence, checkpoint }: { readonly sequence: number; readonly checkpoint: Checkpoint },
  settings: DatabaseSettings,
): Promise<void> {
  const { disk } = settings;
  const staged = stagedPath(segmentsPath);
  await disk.remove(staged);
  await disk.makeDirectory(staged);
  const segment = await Segment.begin(await prepareSegment(staged, sequence, settings), {
    group,
    machine,
    ...originOf(checkpoint),
  });
  await writeCheckpoint(disk, segment, checkpoint.state);
  // LevelDB keeps the path that it was opened with: it must not be open while the directory gets its name.
  await segment.close();
  await disk.syncDirectory(dirname(segmentsPath));
}

/** Step 3. Nothing of the old segments may be open. */
export async function swapSegments(segmentsPath: string, disk: Disk): Promise<void> {
  const parent = dirname(segmentsPath);
  const names = await disk.list(parent);
  if (names.includes('segments')) await removeDirectory(disk, segmentsPath);
  await disk.rename(stagedPath(segmentsPath), segmentsPath);
  await disk.syncDirectory(parent);
}

/** Finishes or undoes what a crash interrupted. `beginIndex`: where the log begins, by the marker. */
export async function recoverSwap(
  segmentsPath: string,
  group: GroupId,
  beginIndex: LogIndex,
  disk: Disk,
): Promise<void> {
  const parent = dirname(segmentsPath);
  const names = await disk.list(parent);
  for (const name of names.filter(isRemoved)) await disk.remove(join(parent, name));
  if (!names.includes('segments-staged')) return;
  const staged = stagedPath(segmentsPath);
  if ((await beginOf(staged, group, disk)) === beginIndex) {
    await swapSegments(segmentsPath, disk);
  } else if (names.includes('segments')) {
    await disk.remove(staged);
  } else {
    throw new FlotillaError(
      'DATA_LOSS',
      `group ${group}: ${segmentsPath} is missing, and ${staged} is not the log that the marker speaks of`,
    );
  }
}

/** Where a staged log begins; undefined where its making was interrupted. */
export async function beginOf(staged: string, group: GroupId, disk: Disk): Promise<LogIndex | undefined> {
  for (const name of await disk.list(staged)) {
    const sequence = segmentSequenceOf(name);
    const header = sequence === undefined ? undefined : await readHeader(disk, join(staged, name), group, sequence);
    if (header !== undefined) return header.before.index;
  }
  return undefined;
}
