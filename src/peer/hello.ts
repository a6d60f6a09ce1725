import { type ActorId, actorId, FlotillaError, LIMITS, type Member } from '../base/index.js';
import type { CallContext } from '../rpc/index.js';
import { formatVersions, parseVersions, type VersionRange } from '../wire/index.js';

/** The connections that a node dials to each peer: small messages must not queue behind appends. */
export type LinkKind = 'control' | 'bulk';

/** The caller's word about itself; opens every stream between nodes. */
export interface Hello {
  readonly clusterId: string;
  readonly actor: ActorId;
  readonly instance: string;
  /** HOST:PORT where the caller can be dialled. */
  readonly address: string;
  /** Counts the node's starts, durably. */
  readonly bootCounter: number;
  /** Random ids of its latest starts, this one's last. */
  readonly boots: readonly string[];
  /** They begin with the cluster's active version. */
  readonly versions: VersionRange;
  readonly link: LinkKind;
  /** The node that the caller looks for: an address may lead to another, even to the caller itself. */
  readonly wanted: Seat;
}

/** A node as members know it. */
type Seat = Pick<Member, 'actor' | 'instance'>;

export function helloMetadata(hello: Hello): Record<string, string> {
  return {
    'flotilla-cluster': hello.clusterId,
    'flotilla-actor': String(hello.actor),
    'flotilla-instance': hello.instance,
    'flotilla-address': hello.address,
    'flotilla-boot': String(hello.bootCounter),
    'flotilla-boot-ids': hello.boots.join(','),
    'flotilla-protocol': formatVersions(hello.versions),
    'flotilla-features': '',
    'flotilla-link': hello.link,
    'flotilla-wanted-actor': String(hello.wanted.actor),
    'flotilla-wanted-instance': hello.wanted.instance,
  };
}

/** Reads the caller's hello. Throws FOREIGN_NODE where it is none, or can't be read. */
export function readHello(call: CallContext): Hello {
  const versions = parseVersions(call.metadata('flotilla-protocol') ?? '');
  if (versions === undefined) throw foreign('the caller is no Flotilla node: it names no protocol version');
  const link = call.metadata('flotilla-link');
  if (link !== 'control' && link !== 'bulk') throw foreign('the caller does not say which link it opens');
  const address = call.metadata('flotilla-address') ?? '';
  if (!isAddress(address))
    throw foreign(`the caller says that it is at ${JSON.stringify(address)}, which can't be dialled`);
  return {
    clusterId: call.metadata('flotilla-cluster') ?? '',
    actor: actorId(wholeNumber(call, 'flotilla-actor', LIMITS.actorIdMax)),
    instance: call.metadata('flotilla-instance') ?? '',
    address,
    bootCounter: wholeNumber(call, 'flotilla-boot', Number.MAX_SAFE_INTEGER),
    boots: bootIds(call),
    versions,
    link,
    wanted: {
      actor: actorId(wholeNumber(call, 'flotilla-wanted-actor', LIMITS.actorIdMax)),
      instance: call.metadata('flotilla-wanted-instance') ?? '',
    },
  };
}

/** Whether it has the form of what others can dial. */
export function isAddress(text: string): boolean {
  return /^\S{1,300}:\d{1,5}$/.test(text);
}

/** One start of a node. */
export interface Boot {
  /** Counted durably by the node itself. */
  readonly bootCounter: number;
  /** Random. */
  readonly bootId: string;
}

/** What this node is, as far as a caller must know. */
export interface Addressee {
  readonly clusterId: string;
  /** This node. */
  readonly self: Seat;
  /** What this node speaks, from the cluster's active version on. */
  readonly versions: VersionRange;
}

/**
 * Throws FOREIGN_NODE where the caller looks for another cluster or node than
 * this, and UPGRADE_NEEDED where the caller or this node is too old to talk to
 * the other. It has proved nothing yet.
 */
export function checkAddressee(hello: Hello, { clusterId, self, versions }: Addressee): void {
  if (hello.clusterId !== clusterId)
    throw foreign(`actor ${hello.actor} belongs to cluster ${hello.clusterId}, this node to ${clusterId}`);
  if (hello.wanted.actor !== self.actor || hello.wanted.instance !== self.instance) {
    throw foreign(
      `actor ${hello.actor} looks for actor ${hello.wanted.actor} here, and this is actor ${self.actor}` +
        `${hello.wanted.actor === self.actor ? ' on another data directory' : ''}: that address leads to ` +
        'another node than the caller believes',
    );
  }
  requireCommonVersion(`actor ${hello.actor}`, hello.versions, versions);
}

/**
 * Throws ROLLED_BACK where the caller's data is older than it was when it was last seen. A folder that was put back
 * counts its starts on from an older number, so that the start that was seen here is ahead of it, or is another one of
 * that number.
 */
export function requireLaterBoot({ actor, bootCounter, boots }: Hello, lastBoot: Boot): void {
  const seen = boots.at(lastBoot.bootCounter - bootCounter - 1);
  const isLater = bootCounter >= lastBoot.bootCounter && (seen === undefined || seen === lastBoot.bootId);
  if (isLater) return;
  throw new FlotillaError(
    'ROLLED_BACK',
    `actor ${actor} says it is at start ${bootCounter}, and start ${lastBoot.bootCounter} of it was seen ` +
      'here, which its data knows nothing of: its disk was rolled back, ' +
      'and it may have forgotten what it promised; it must not take part again on this data',
  );
}

/** Throws UPGRADE_NEEDED, with which node has to be upgraded, where `peer` and this node have no version in common. */
export function requireCommonVersion(peer: string, theirs: VersionRange, ours: VersionRange): void {
  if (theirs.highest < ours.lowest) {
    throw new FlotillaError(
      'UPGRADE_NEEDED',
      `${peer} speaks protocol ${formatVersions(theirs)}, and version ${ours.lowest} is active in this ` +
        `cluster: upgrade ${peer}`,
    );
  }
  if (ours.highest < theirs.lowest) {
    throw new FlotillaError(
      'UPGRADE_NEEDED',
      `${peer} speaks protocol ${formatVersions(theirs)}, and this node ${formatVersions(ours)}: upgrade this node`,
    );
  }
}

function wholeNumber(call: CallContext, key: string, max: number): number {
  const text = call.metadata(key) ?? '';
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || value < 1 || value > max)
    throw foreign(`${key}: ${JSON.stringify(text)} is no number from 1 to ${max}`);
  return value;
}

function bootIds(call: CallContext): string[] {
  const ids = (call.metadata('flotilla-boot-ids') ?? '').split(',');
  const valid = ids.length <= LIMITS.bootsRemembered && ids.every((id) => /^[0-9a-f]{16}$/.test(id));
  if (!valid) throw foreign('flotilla-boot-ids: is no list of ids of starts');
  return ids;
}

export function foreign(message: string): FlotillaError {
  return new FlotillaError('FOREIGN_NODE', message);
}
