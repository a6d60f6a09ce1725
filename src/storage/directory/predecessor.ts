import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ActorId, FlotillaError, LIMITS } from '../../base/index.js';
import { nodeDisk } from '../level/index.js';
import { type NodeIdentity, newIdentity, type Predecessor } from './identity-file.js';
import type { KnownCluster } from './known-members.js';

/*
 * A node that has forgotten a vote, or the end of its log, must not take part
 * as the one that it was: it could help to elect a leader that lacks committed
 * events. Where the cluster has other members it begins anew instead, with an
 * empty log and another instance, and asks them to let it have the seat of the
 * one that it was:
 *
 * 1. the groups get another name, `damaged-<n>/`, and are kept for whoever
 *    wants to look into them;
 * 2. the identity says that this is the successor of the instance before.
 *
 * A crash between the two leaves an identity of a cluster without its groups,
 * which begins anew in the same way. The instance before never speaks again,
 * and the members take the successor in only where they can do without it.
 */

const ASIDE_PREFIX = 'damaged-';

/** What this node was; undefined where it knows of no other member that could take it in again. */
export function predecessorOf(
  actor: ActorId,
  found: NodeIdentity | undefined,
  known: KnownCluster | undefined,
  hasPeers: boolean,
  reason: string,
): Predecessor | undefined {
  if (found?.predecessor !== undefined && found.clusterId === undefined) return found.predecessor;
  // What was noted before a new cluster was forced, or in another folder, speaks of another cluster.
  const noted = known !== undefined && isOf(known, actor, found) ? known : undefined;
  const clusterId = found?.clusterId ?? noted?.clusterId;
  const instance = found?.instance ?? noted?.self.instance;
  if (clusterId === undefined || instance === undefined) return undefined;
  const secret = found?.secret ?? noted?.self.secret;
  const members = noted?.others ?? (found?.promised ?? []).filter((founder) => founder.instance !== instance);
  if (members.length === 0 && (noted !== undefined || !hasPeers)) return undefined;
  return {
    clusterId,
    instance,
    ...(secret === undefined ? {} : { secret }),
    members: members.map(({ actor: other, instance: its, address }) => ({ actor: other, instance: its, address })),
    reason,
  };
}

function isOf(known: KnownCluster, actor: ActorId, found: NodeIdentity | undefined): boolean {
  if (known.self.actor !== actor) return false;
  return (
    found === undefined ||
    (found.instance === known.self.instance && (found.clusterId ?? known.clusterId) === known.clusterId)
  );
}

/** The identity of the node from now on. */
export function identityAfter(actor: ActorId, predecessor: Predecessor): NodeIdentity {
  return { ...newIdentity(actor), predecessor };
}

/** Step 1; nothing of the groups may be open. Resolves with where they are now; undefined where there were none. */
export async function setGroupsAside(nodePath: string, groupsPath: string): Promise<string | undefined> {
  const names = await nodeDisk.list(nodePath);
  const earlier = names
    .filter((name) => name.startsWith(ASIDE_PREFIX))
    .map((name) => Number(name.slice(ASIDE_PREFIX.length)))
    .filter((number) => Number.isSafeInteger(number))
    .sort((a, b) => a - b);
  for (const number of earlier.slice(0, Math.max(0, earlier.length - LIMITS.damagedFolders + 1)))
    await nodeDisk.remove(join(nodePath, `${ASIDE_PREFIX}${number}`));
  const aside = join(nodePath, `${ASIDE_PREFIX}${(earlier.at(-1) ?? 0) + 1}`);
  const present = await hasEntries(groupsPath);
  if (present) await nodeDisk.rename(groupsPath, aside);
  await mkdir(groupsPath, { recursive: true, mode: 0o700 });
  await nodeDisk.syncDirectory(nodePath);
  return present ? aside : undefined;
}

async function hasEntries(path: string): Promise<boolean> {
  try {
    return (await nodeDisk.list(path)).length > 0;
  } catch {
    // There is no such directory: nothing is to be kept.
    return false;
  }
}

/** What an operator of a single node is told; nobody else has its events. */
export function aloneWithDamage(error: FlotillaError, nodePath: string): FlotillaError {
  return new FlotillaError(
    error.code,
    `${error.message}. Nobody else has this data: nothing was changed. "flotilla verify" names each damage in ` +
      `${nodePath}; ` +
      'restore it from a backup with "flotilla restore", or put back the damaged files; see docs/operating.md',
    { cause: error },
  );
}
