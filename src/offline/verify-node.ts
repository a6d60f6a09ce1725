import { join } from 'node:path';
import { type ActorId, messageOf } from '../base/index.js';
import {
  groupIdOf,
  groupsPathOf,
  identityPath,
  type NodeIdentity,
  readIdentity,
  readKnownMembers,
  readPlan,
} from '../storage/directory/index.js';
import { isRemoved } from '../storage/disk/index.js';
import { isUnfinished } from '../storage/group/index.js';

import { nodeDisk } from '../storage/level/index.js';

import { viewGroup } from './group-view.js';
import { type StoppedNodeAddress, withHeldNode } from './held-node.js';
import { type Damage, type OnProgress, type VerifiedGroup, verifyGroup } from './verify-group.js';

/** What was found in one node's folder. */
export interface Verification {
  readonly path: string;
  readonly actor: ActorId;
  readonly groups: readonly VerifiedGroup[];
  /** All of them, those of the groups included. */
  readonly damages: readonly Damage[];
  /** No damage, but worth knowing. */
  readonly notes: readonly string[];
}

/**
 * Reads everything that a stopped node has on disk and names all that is not
 * what was written: every record, header, footer, marker, hard state, and how
 * they fit together. Changes nothing.
 */
export async function verifyNode(
  node: StoppedNodeAddress,
  onProgress: OnProgress = () => undefined,
): Promise<Verification> {
  return await withHeldNode(node, async ({ path, actor, scratchPath }) => {
    const damages: Damage[] = [];
    const notes: string[] = [];
    const identity = await verifyIdentity(path, actor, damages);
    await notePlan(path, damages, notes);
    await checkKnownMembers(path, damages);
    for (const name of await nodeDisk.list(path))
      if (/^damaged-\d+$/.test(name))
        notes.push(`${join(path, name)} holds what was damaged when the node began anew; no start reads it`);
    const names = await nodeDisk.list(groupsPathOf(path)).catch(() => []);
    for (const name of names)
      if (isUnfinished(name) || isRemoved(name))
        notes.push(`${join(groupsPathOf(path), name)} is left over; the next start removes it`);
    const groups: VerifiedGroup[] = [];
    for (const group of names.flatMap((name) => groupIdOf(name) ?? []).sort((a, b) => a - b)) {
      const view = await viewGroup(nodeDisk, join(groupsPathOf(path), String(group)), group, identity?.stampedBoot);
      groups.push(await verifyGroup(view, scratchPath, onProgress));
      for (const name of await nodeDisk.list(view.path))
        if (/^segments-rebuil(ding|t)$/.test(name))
          notes.push(`${join(view.path, name)} is left of a repair; the next start removes it or puts it in its place`);
    }
    if (identity?.clusterId !== undefined && groups.length === 0)
      damages.push({
        file: groupsPathOf(path),
        what: `missing, and the node belongs to cluster ${identity.clusterId}`,
        remedy: 'replace',
      });
    return {
      path,
      actor,
      groups,
      damages: [...damages, ...groups.flatMap((group) => group.damages)],
      notes: [...notes, ...groups.flatMap((group) => group.notes)],
    };
  });
}

async function verifyIdentity(path: string, actor: ActorId, damages: Damage[]): Promise<NodeIdentity | undefined> {
  const file = identityPath(path);
  try {
    const identity = await readIdentity(path);
    if (identity === undefined) damages.push({ file, what: 'missing', remedy: 'replace' });
    else if (identity.actor !== actor)
      damages.push({ file, what: `it is that of actor ${identity.actor}`, remedy: 'replace' });
    return identity;
  } catch (error) {
    damages.push({ file, what: messageOf(error).replace(`${file} `, ''), remedy: 'replace' });
    return undefined;
  }
}

async function notePlan(path: string, damages: Damage[], notes: string[]): Promise<void> {
  try {
    if ((await readPlan(nodeDisk, path)) !== undefined)
      notes.push(
        'a new cluster was begun with this node by force, and that has not ended: run flotilla cluster recover again',
      );
  } catch (error) {
    damages.push({ file: join(path, 'recovery'), what: messageOf(error), remedy: 'replace' });
  }
}

/** Made anew from the log and from the next hellos. */
async function checkKnownMembers(path: string, damages: Damage[]): Promise<void> {
  try {
    await readKnownMembers(nodeDisk, path);
  } catch (error) {
    damages.push({ file: join(path, 'known-members'), what: messageOf(error), remedy: 'start' });
  }
}
