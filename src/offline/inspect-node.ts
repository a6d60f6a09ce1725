import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type ActorId, type Counter, type GroupId, type LogIndex, messageOf, type Term } from '../base/index.js';
import type { HardState, TermStart } from '../raft/index.js';
import {
  groupIdOf,
  groupsPathOf,
  type NodeIdentity,
  type Predecessor,
  readIdentity,
} from '../storage/directory/index.js';
import { nodeDisk } from '../storage/level/index.js';
import type { Marker } from '../storage/log/index.js';
import { checkpointPath, databasePath, readCheckpoint } from '../storage/segment/index.js';
import type { LogTail, Membership } from '../wire/index.js';

import { withDatabaseView } from './database-view.js';
import { type Found, type FoundSegment, viewGroup } from './group-view.js';
import { type StoppedNodeAddress, withHeldNode } from './held-node.js';
import { SegmentScan } from './segment-scan.js';

/** What a stopped node's folder holds, as its small files and the open segments tell. */
export interface InspectedNode {
  readonly path: string;
  readonly actor: ActorId;
  /** In words, where it can't be read. */
  readonly identity: ShownIdentity | string;
  readonly groups: readonly InspectedGroup[];
  readonly bytes: number;
}

export interface InspectedGroup {
  readonly group: GroupId;
  readonly incarnation: string | undefined;
  readonly hardState: HardState | string;
  readonly marker: Marker | string;
  /** The latest in the log. */
  readonly membership: Membership | undefined;
  readonly segments: readonly InspectedSegment[];
}

export interface InspectedSegment {
  readonly sequence: number;
  /** `ahead`: made for what comes next, and empty. */
  readonly state: 'sealed' | 'open' | 'ahead' | 'damaged';
  /** What is wrong, of a damaged one. */
  readonly why?: string;
  /** None where it is empty. */
  readonly records?: { readonly from: LogIndex; readonly to: LogIndex };
  readonly counters?: { readonly from: Counter; readonly to: Counter };
  readonly terms?: { readonly from: Term; readonly to: Term };
  /** None before record 1, and where it was not due yet. */
  readonly checkpoint?: InspectedCheckpoint;
  /** On disk, all files of it. */
  readonly bytes: number;
}

/** The stream's state as of the record before a segment's first. */
export interface InspectedCheckpoint {
  readonly index: LogIndex;
  readonly term: Term;
  readonly sound: boolean;
  /** What is wrong, where it is not. */
  readonly why?: string;
}

/**
 * Looks at a stopped node and changes nothing. Of sealed segments only headers and footers are read: {@link verifyNode}
 * reads all.
 */
export async function inspectNode(node: StoppedNodeAddress): Promise<InspectedNode> {
  return await withHeldNode(node, async ({ path, actor, scratchPath }) => {
    const names = await nodeDisk.list(groupsPathOf(path)).catch(() => []);
    const groups: InspectedGroup[] = [];
    for (const group of names.flatMap((name) => groupIdOf(name) ?? []).sort((a, b) => a - b))
      groups.push(await inspectGroup(join(groupsPathOf(path), String(group)), group, scratchPath));
    return { path, actor, identity: await identityOf(path), groups, bytes: await bytesIn(path) };
  });
}

/** Without the keys: what is shown must not let anybody pass for this node. */
export type ShownIdentity = Omit<NodeIdentity, 'secret' | 'predecessor'> & {
  readonly predecessor?: Omit<Predecessor, 'secret'>;
};

async function identityOf(path: string): Promise<ShownIdentity | string> {
  try {
    return withoutSecrets(await readIdentity(path)) ?? 'missing';
  } catch (error) {
    return messageOf(error);
  }
}

function withoutSecrets(identity: NodeIdentity | undefined): ShownIdentity | undefined {
  if (identity === undefined) return undefined;
  const { secret: _, predecessor, ...shown } = identity;
  if (predecessor === undefined) return shown;
  const { secret: __, ...former } = predecessor;
  return { ...shown, predecessor: former };
}

async function inspectGroup(path: string, group: GroupId, scratchPath: string): Promise<InspectedGroup> {
  const view = await viewGroup(nodeDisk, path, group);
  const segments: InspectedSegment[] = [];
  let membership: Membership | undefined;
  let incarnation: string | undefined;
  const { newest: marker } = view.marker;
  const beginIndex = marker.kind === 'sound' ? marker.content.beginIndex : undefined;
  for (const found of view.segments ?? []) {
    const { row, latest } = await inspectSegment(found, beginIndex, scratchPath);
    segments.push(row);
    membership = latest ?? membership;
    if (found.header.kind === 'sound') incarnation ??= found.header.content.incarnation;
  }
  return {
    group,
    incarnation,
    hardState: shown(view.hardState.newest),
    marker: shown(view.marker.newest),
    membership,
    segments,
  };
}

function shown<Content>(found: Found<Content>): Content | string {
  if (found.kind === 'sound') return found.content;
  return found.kind === 'missing' ? 'missing' : messageOf(found.why);
}

async function inspectSegment(
  found: FoundSegment,
  beginIndex: LogIndex | undefined,
  scratchPath: string,
): Promise<{ row: InspectedSegment; latest: Membership | undefined }> {
  const { sequence, directory, header, footer, isEmpty } = found;
  const bytes = await bytesIn(directory);
  if (header.kind === 'missing' && isEmpty) return { row: { sequence, state: 'ahead', bytes }, latest: undefined };
  if (header.kind !== 'sound')
    return { row: { sequence, state: 'damaged', why: `header: ${String(shown(header))}`, bytes }, latest: undefined };
  const { before, membership } = header.content;
  let summary = footer.kind === 'sound' ? footer.content : undefined;
  let why: string | undefined;
  if (summary === undefined) {
    const scan = new SegmentScan(before, () => undefined);
    try {
      await withDatabaseView(databasePath(directory), scratchPath, (database) => scan.run(database));
    } catch (error) {
      why = messageOf(error);
    }
    const [damage] = scan.damages;
    if (damage !== undefined) why = `record ${damage.from}: ${damage.what}`;
    summary = scan.contents.summary();
  }
  const { tail, termStarts, memberships } = summary;
  const checkpoint = await inspectCheckpoint(directory, before, beginIndex === before.index);
  const row: InspectedSegment = {
    sequence,
    state: why !== undefined ? 'damaged' : footer.kind === 'sound' ? 'sealed' : 'open',
    ...(why === undefined ? {} : { why }),
    ...(tail.index === before.index
      ? {}
      : {
          records: { from: (before.index + 1) as LogIndex, to: tail.index },
          terms: termsOf(before.term, termStarts, before.index, tail.term),
        }),
    ...(tail.nextCounter === before.nextCounter
      ? {}
      : { counters: { from: before.nextCounter, to: (tail.nextCounter - 1) as Counter } }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
    bytes,
  };
  return { row, latest: memberships.at(-1)?.membership ?? membership };
}

/** The state that a log begins with is nowhere else: there one must stand. */
async function inspectCheckpoint(
  directory: string,
  before: LogTail,
  beginsLog: boolean,
): Promise<InspectedCheckpoint | undefined> {
  const { index, term } = before;
  if (index === 0 || (!beginsLog && (await nodeDisk.readFile(checkpointPath(directory))) === undefined))
    return undefined;
  try {
    await readCheckpoint(nodeDisk, { directory, before });
    return { index, term, sound: true };
  } catch (error) {
    return { index, term, sound: false, why: messageOf(error) };
  }
}

/** The first record may begin a term of its own. */
function termsOf(
  before: Term,
  starts: readonly TermStart[],
  beforeIndex: LogIndex,
  last: Term,
): { from: Term; to: Term } {
  const [first] = starts;
  return { from: first?.index === beforeIndex + 1 ? first.term : before, to: last };
}

async function bytesIn(path: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    bytes += entry.isDirectory() ? await bytesIn(child) : (await stat(child)).size;
  }
  return bytes;
}
