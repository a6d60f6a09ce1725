import { createHash } from 'node:crypto';
import { type ActorId, FlotillaError, type Member, type Voucher } from '../base/index.js';
import { actorIsTaken } from '../machine/cluster/index.js';
import type { Membership, VersionRange } from '../wire/index.js';
import { requireCommonVersion } from './hello.js';

/** What a node says of itself and of the others while a cluster forms. */
export interface Introduction {
  readonly self: Member;
  /** Empty while it is in none. */
  readonly clusterId: string;
  readonly clusterMembers: readonly Member[];
  readonly peerAddresses: readonly string[];
  /** The nodes that it would found a cluster with, itself included. */
  readonly known: readonly Member[];
  /** The nodes that it has durably promised to found the cluster with; empty: none yet. */
  readonly promised: readonly Member[];
  /** Addresses that it was told to wait for no longer. */
  readonly without: readonly string[];
  readonly versions: VersionRange;
}

/** An address of the closure that did not answer. */
export interface Silence {
  readonly address: string;
  /** A sentence. */
  readonly reason: string;
}

/** The cluster that this node belongs to from now on. */
export interface Founded {
  readonly clusterId: string;
  /** In force before the first record: every founder votes; a node that joins later learns the voters from the log. */
  readonly membership: Membership;
  /** The members, until the log tells of them. */
  readonly members: readonly Member[];
  /** By these a node that joins is known to members that lag behind. */
  readonly vouchers: readonly Voucher[];
}

/** The member in whose place a node asks to be taken in. */
export interface Predecessor {
  readonly clusterId: string;
  readonly instance: string;
}

/** What one round of introductions has brought. */
export interface Round {
  readonly self: Member;
  /** What this node speaks. */
  readonly versions: VersionRange;
  /** This node's own promise, durable. */
  readonly promised: readonly Member[] | undefined;
  /** The seat that this node asks for: its own, from before its data was damaged. */
  readonly predecessor?: Predecessor | undefined;
  /** What this node has told the others to be its `known` during the whole round. */
  readonly told: readonly Member[];
  /** Each other node that was met, once. */
  readonly nodes: readonly Introduction[];
  readonly silent: readonly Silence[];
  /** Addresses that this node was told to wait for no longer. */
  readonly without: readonly string[];
}

export type Step =
  | { readonly kind: 'found'; readonly founded: Founded }
  /** One of these members is to be asked for it: `member` first, which is one. */
  | { readonly kind: 'join'; readonly member: Member; readonly members: readonly Member[] }
  | { readonly kind: 'promise'; readonly founders: readonly Member[] }
  | { readonly kind: 'wait'; readonly reasons: readonly string[] };

/**
 * What follows from a round. Throws FOREIGN_NODE where this node can't become
 * part of a cluster as it is, and UPGRADE_NEEDED where it and the others speak
 * no version in common.
 */
export function nextStep(round: Round): Step {
  const { self, promised, nodes } = round;
  for (const { self: other, versions } of nodes) requireCommonVersion(other.address, versions, round.versions);
  refuseImpostors(self, nodes);
  const own = ownCluster(round);
  if (own !== undefined) return own;
  if (round.predecessor !== undefined) return { kind: 'wait', reasons: clusterAwaited(round, round.predecessor) };
  if (promised === undefined) return stepToPromise(round);
  const missing = promised
    .filter(({ instance }) => instance !== self.instance)
    .flatMap((member) => whyNotPromised(member, nodes, promised));
  if (missing.length === 0) return { kind: 'found', founded: foundedBy(promised) };
  return { kind: 'wait', reasons: [...missing, ...awaited(round).map(({ reason }) => reason)] };
}

/** Its cluster is there already: such a node never founds another. */
function clusterAwaited({ silent }: Round, { clusterId }: Predecessor): string[] {
  return [`no member of cluster ${clusterId} has answered yet`, ...silent.map(({ reason }) => reason)];
}

/** The same on every founder: none has to tell the others. */
export function foundedBy(founders: readonly Member[]): Founded {
  const members = inOrder(founders);
  const names = members.map(({ actor, instance }) => `${actor}:${instance}`).join('\n');
  const clusterId = createHash('sha256').update(names).digest('hex').slice(0, 32);
  const voters = members.map(({ actor }) => actor);
  return { clusterId, membership: { voters, outgoing: [], learners: [], members }, members, vouchers: [] };
}

/** The nodes that this one would found a cluster with, as far as it has met them. */
export function foundersOf({ self, nodes }: Pick<Round, 'self' | 'nodes'>): Member[] {
  return inOrder([self, ...nodes.map((node) => node.self)]);
}

/** The addresses that have not answered and are waited for all the same. */
function awaited({ without, nodes, silent }: Round): Silence[] {
  const given = new Set([...without, ...nodes.flatMap((node) => node.without)]);
  return silent.filter(({ address }) => !given.has(address));
}

/**
 * Why a cluster must not form without the silent ones that are named; undefined
 * where it may. The nodes that are there must outnumber them: else these, which perhaps only
 * can't be reached from here, might be let form a cluster without these.
 */
export function refusalToForm(
  { self, nodes }: Pick<Round, 'self' | 'nodes'>,
  without: readonly string[],
): string | undefined {
  const founders = foundersOf({ self, nodes });
  if (without.length === 0 || founders.length > without.length) return undefined;
  return (
    `the actors ${actorsOf(founders)} are no majority against the ${without.length} that don't answer, which ` +
    'might form a cluster of their own: ' +
    'start one of those; or, where they are lost for good, stop all nodes and start them with --peer-addr ' +
    'lists that do not name them'
  );
}

/**
 * A promise is never replaced, so two nodes that promise different sets are
 * stuck for good. Therefore a node promises a set only when it has told that
 * very set for a whole round, in which every other node of the set has told the
 * same. Of two nodes that are in each other's sets, the one that began later to
 * tell its set then finds that the other tells a different one.
 */
function stepToPromise(round: Round): Step {
  const { self, told, nodes } = round;
  const founders = foundersOf(round);
  const promises = nodes.filter((node) => node.promised.length > 0);
  for (const node of promises) refuseReplaced(self, node);
  const without = promises.filter((node) => !includes(node.promised, self));
  if (without.length > 0) {
    return {
      kind: 'wait',
      reasons: without.map(
        (node) => `node ${node.self.actor} (${node.self.address}) founds a cluster without this node`,
      ),
    };
  }
  const [first] = promises;
  if (first !== undefined) {
    // It has seen that this is the whole closure, and won't ever promise another set.
    if (promises.every((node) => sameNodes(node.promised, first.promised)))
      return { kind: 'promise', founders: first.promised };
    return { kind: 'wait', reasons: promises.flatMap((node) => whyNotPromised(node.self, nodes, first.promised)) };
  }
  const silent = awaited(round);
  if (silent.length > 0)
    return { kind: 'wait', reasons: [...silent.map(({ reason }) => reason), wayOut(round, silent)] };
  const refusal = refusalToForm(
    round,
    round.silent.map(({ address }) => address),
  );
  if (refusal !== undefined) return { kind: 'wait', reasons: [refusal] };
  const differing = nodes.filter((node) => !sameNodes(node.known, founders));
  if (differing.length === 0 && sameNodes(told, founders)) return { kind: 'promise', founders };
  return {
    kind: 'wait',
    reasons: [
      `the founding members ${actorsOf(founders)} still compare which nodes they have met`,
      ...differing.map((node) => `node ${node.self.actor} (${node.self.address}) has met ${actorsOf(node.known)}`),
    ],
  };
}

/** What an operator can do about founders that will not come. */
function wayOut(round: Round, silent: readonly Silence[]): string {
  const addresses = silent.map(({ address }) => address);
  const refusal = refusalToForm(
    round,
    round.silent.map(({ address }) => address),
  );
  if (refusal !== undefined) return refusal;
  const options = addresses.map((address) => `--without ${address}`).join(' ');
  return `if that is not to be waited for: flotilla cluster form ${options}`;
}

function refuseImpostors(self: Member, nodes: readonly Introduction[]): void {
  const byActor = new Map<ActorId, Member>([[self.actor, self]]);
  for (const { self: member } of nodes) {
    const other = byActor.get(member.actor);
    if (other !== undefined && other.instance !== member.instance) {
      throw foreign(
        `actor id ${member.actor} is taken: ${other.address} and ${member.address} both use it; give each ` +
          'node of the cluster an --actor-id of its own',
      );
    }
    byActor.set(member.actor, member);
  }
}

/** Founders elsewhere may count on a data directory of this actor that is gone: their cluster can't form any more. */
function refuseReplaced(self: Member, node: Introduction): void {
  const seat = node.promised.find(({ actor }) => actor === self.actor);
  if (seat === undefined || seat.instance === self.instance) return;
  throw foreign(
    `${node.self.address} has promised to found a cluster with actor ${self.actor} on another data ` +
      'directory: start this node on that directory; ' +
      `if it is lost, stop the actors ${actorsOf(node.promised)}, remove their data directories, which hold ` +
      'no events yet, and start again',
  );
}

/** A node is in a cluster already: this one is a founder of it, or wants to join. */
function ownCluster({ self, promised, predecessor, nodes }: Round): Step | undefined {
  const clusters = nodes.filter(({ clusterId }) => clusterId !== '');
  const [first] = clusters;
  if (first === undefined) return undefined;
  const other = clusters.find(({ clusterId }) => clusterId !== first.clusterId);
  if (other !== undefined) {
    throw foreign(
      `${first.self.address} and ${other.self.address} belong to different clusters (${first.clusterId} and ` +
        `${other.clusterId}): name peers of one cluster only`,
    );
  }
  if (predecessor !== undefined && predecessor.clusterId !== first.clusterId) {
    throw foreign(
      `${first.self.address} belongs to cluster ${first.clusterId}, and the data of this node that was ` +
        `damaged to cluster ${predecessor.clusterId}: name peers of that one`,
    );
  }
  const seat = first.clusterMembers.find(({ actor }) => actor === self.actor);
  const isHeldByAnother =
    seat !== undefined && seat.instance !== self.instance && seat.instance !== predecessor?.instance;
  if (isHeldByAnother) throw foreign(actorIsTaken(seat, first.self.address));
  const founded = promised === undefined ? undefined : foundedBy(promised);
  if (seat !== undefined && founded?.clusterId === first.clusterId) return { kind: 'found', founded };
  return { kind: 'join', member: first.self, members: first.clusterMembers };
}

/** What a node that joins believes: nobody votes, until the log tells who does. */
export function joinedTo(clusterId: string, members: readonly Member[], vouchers: readonly Voucher[] = []): Founded {
  return { clusterId, membership: { voters: [], outgoing: [], learners: [], members: [] }, members, vouchers };
}

function whyNotPromised(member: Member, nodes: readonly Introduction[], promised: readonly Member[]): string[] {
  const name = `node ${member.actor} (${member.address})`;
  const node = nodes.find(({ self }) => self.instance === member.instance);
  if (node === undefined) return [`${name} does not answer`];
  if (node.promised.length === 0) return [`${name} has not agreed to the founding members yet`];
  if (sameNodes(node.promised, promised)) return [];
  return [
    `${name} has agreed to the founding members ${actorsOf(node.promised)}, not to ${actorsOf(promised)}: ` +
      'stop all of them, give all the same --peer-addr list, remove their data directories, which hold no ' +
      'events yet, and start again',
  ];
}

function includes(members: readonly Member[], member: Member): boolean {
  return members.some(({ actor, instance }) => actor === member.actor && instance === member.instance);
}

function sameNodes(first: readonly Member[], second: readonly Member[]): boolean {
  return first.length === second.length && first.every((member) => includes(second, member));
}

function actorsOf(members: readonly Member[]): string {
  return members.map(({ actor }) => actor).join(', ');
}

function inOrder(members: readonly Member[]): Member[] {
  return [...members].sort((a, b) => a.actor - b.actor);
}

function foreign(message: string): FlotillaError {
  return new FlotillaError('FOREIGN_NODE', message);
}
