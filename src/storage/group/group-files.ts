import { dirname, join } from 'node:path';
import { type GroupId, logIndex, term } from '../../base/index.js';
import { EMPTY_LOG_TAIL, type Membership } from '../../wire/index.js';
import { MarkerFile } from '../log/index.js';
import { type DatabaseSettings, prepareSegment, Segment } from '../segment/index.js';
import { HardStateFile } from './hard-state-file.js';

/**
 * What a node keeps of one group, in `groups/<id>/`:
 *
 *     hard-state   term and vote
 *     marker       what the log is known to hold
 *     segments/    the log
 */
export interface NewGroup {
  readonly group: GroupId;
  /** 32 hexadecimal digits. */
  readonly incarnation: string;
  /** The kind of state machine that it runs: a name among {@link MachineKinds}. */
  readonly machine: string;
  /** The membership in force before the first record. */
  readonly membership: Membership;
}

const UNFINISHED_SUFFIX = '.new';

export const hardStatePath = (directory: string): string => join(directory, 'hard-state');
export const markerPath = (directory: string): string => join(directory, 'marker');
export const segmentsPath = (directory: string): string => join(directory, 'segments');

/** A group that was being made when the node ended: never used, and deleted at start. */
export function isUnfinished(name: string): boolean {
  return name.endsWith(UNFINISHED_SUFFIX);
}

/** Builds a group under another name and renames it: it is there whole, or not at all. */
export async function createGroupFiles(
  directory: string,
  created: NewGroup,
  settings: DatabaseSettings,
): Promise<void> {
  const { disk } = settings;
  const unfinished = `${directory}${UNFINISHED_SUFFIX}`;
  await disk.remove(unfinished);
  await disk.makeDirectory(unfinished);
  await disk.makeDirectory(segmentsPath(unfinished));
  await HardStateFile.create(disk, hardStatePath(unfinished), { term: term(0), vote: undefined });
  await MarkerFile.create(disk, markerPath(unfinished), {
    index: logIndex(0),
    term: term(0),
    checksum: 0,
    commitIndex: logIndex(0),
    beginIndex: logIndex(0),
    lastSequence: 1,
  });
  const prepared = await prepareSegment(segmentsPath(unfinished), 1, settings);
  const { group, incarnation, machine, membership } = created;
  const segment = await Segment.begin(prepared, {
    group,
    incarnation,
    machine,
    before: EMPTY_LOG_TAIL,
    membership,
    membershipIndex: logIndex(0),
  });
  // LevelDB keeps the path that it was opened with: it must not be open while the directory gets its name.
  await segment.close();
  await disk.syncDirectory(unfinished);
  await disk.rename(unfinished, directory);
  await disk.syncDirectory(dirname(directory));
}
