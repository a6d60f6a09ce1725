import { join } from 'node:path';
import { FlotillaError, type GroupId, logIndex } from '../../base/index.js';
import type { RecoveredGroup } from '../../group/index.js';
import { groupIdOf, type NodeIdentity } from '../directory/index.js';
import { type Disk, isRemoved } from '../disk/index.js';
import { MarkerFile, recoverLog, recoverRebuild, recoverSwap, requireNotAhead, SegmentedLog } from '../log/index.js';
import type { DatabaseSettings } from '../segment/index.js';
import { hardStatePath, isUnfinished, markerPath, segmentsPath } from './group-files.js';
import { GroupStore } from './group-store.js';
import { HardStateFile, olderCopyOf } from './hard-state-file.js';

/** The groups in a node's directory, ascending. What a crash left of unfinished or removed ones is deleted. */
export async function findGroups(disk: Disk, groupsPath: string): Promise<GroupId[]> {
  const names = await disk.list(groupsPath);
  for (const name of names) {
    if (isUnfinished(name) || isRemoved(name)) await disk.remove(join(groupsPath, name));
  }
  return names.flatMap((name) => groupIdOf(name) ?? []).sort((a, b) => a - b);
}

/** This start, and the last one that is known to have opened every group. */
export type Starts = Pick<NodeIdentity, 'bootCounter' | 'stampedBoot'>;

/** Opens and verifies one group. Throws DATA_LOSS where it is not what this node has acknowledged. */
export async function openGroup(
  directory: string,
  group: GroupId,
  starts: Starts,
  settings: DatabaseSettings,
): Promise<GroupStore> {
  const opened: { close(): Promise<void> }[] = [];
  try {
    const hardState = await HardStateFile.open(settings.disk, hardStatePath(directory));
    opened.push(hardState);
    const marker = await MarkerFile.open(settings.disk, markerPath(directory));
    opened.push(marker);
    await recoverRebuild(segmentsPath(directory), settings.disk);
    await recoverSwap(segmentsPath(directory), group, marker.current.beginIndex, settings.disk);
    const found = await recoverLog(segmentsPath(directory), group, marker.current, settings);
    const { begin, tail, termStarts, memberships, incarnation, machine } = found;
    const log = new SegmentedLog(segmentsPath(directory), { group, incarnation, machine }, found, settings);
    opened.push(log);
    requireNotAhead(group, found, hardState.current.term);
    requireLatest(hardState, hardStatePath(directory), starts);
    await hardState.stamp(starts.bootCounter);
    const commitIndex = logIndex(Math.max(begin.index, Math.min(marker.current.commitIndex, tail.index)));
    // What LevelDB recovered it has also made durable, so the marker may vouch for all of it before anyone relies on
    // it.
    await marker.advance({
      index: tail.index,
      term: tail.term,
      checksum: tail.checksum,
      commitIndex,
      beginIndex: begin.index,
      lastSequence: found.lastSequence,
    });
    const state = (await log.checkpoints.recover(commitIndex)).encode();
    const recovered: RecoveredGroup = {
      hardState: hardState.current,
      begin,
      tail,
      termStarts,
      memberships,
      commitIndex,
      state,
      incarnation,
      machine,
    };
    return new GroupStore({ recovered, hardState, marker, log }, settings);
  } catch (error) {
    await Promise.allSettled(opened.map((file) => file.close()));
    throw error;
  }
}

/** Another vote than the one that it knows of may have left. */
function requireLatest({ lastBoot }: HardStateFile, path: string, { stampedBoot }: Starts): void {
  const older = olderCopyOf(lastBoot, stampedBoot);
  if (older !== undefined) throw new FlotillaError('DATA_LOSS', `${path} is ${older}`);
}
