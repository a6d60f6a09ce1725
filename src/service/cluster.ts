import type { ActorId, Member } from '../base/index.js';
import type { LinkState } from '../group/index.js';
import { type Configuration, isVoter } from '../raft/index.js';
import type { Stream } from '../stream/index.js';
import { authorize } from './authorize.js';
import type { Caller } from './caller.js';
import { type MembersView, removeMember, transferLeadership } from './members.js';

/** What there is to know of a node and its cluster at this moment. */
export interface ClusterView extends MembersView {
  readonly version: string;
  /** Empty while the cluster is still forming. */
  readonly clusterId: string;
  readonly members: readonly Member[];
  readonly links: ReadonlyMap<ActorId, LinkState>;
  /** Lets the cluster form without founders that don't answer at these addresses. */
  readonly formWithout: (addresses: readonly string[]) => Promise<Founding>;
}

/** A cluster that has formed. */
export interface Founding {
  readonly clusterId: string;
  readonly membership: Configuration;
}

/** `unknown`: the node has not said, or is not in its cluster yet. */
export type NodeRole = 'unknown' | 'leader' | 'follower' | 'candidate' | 'learner';

export interface NodeStatus {
  readonly actor: number;
  /** HOST:PORT. */
  readonly address: string;
  readonly role: NodeRole;
  readonly term: number;
  readonly commitIndex: number;
  readonly lastIndex: number;
  /** Records that others know to be committed, and this one does not. */
  readonly lag: number;
  readonly reachable: boolean;
  readonly version: string;
}

export interface ClusterStatus {
  readonly clusterId: string;
  /** The node that answers. */
  readonly actor: number;
  readonly nodes: readonly NodeStatus[];
  readonly activeVersion: number;
}

/** Asks another node for its own row of the status; undefined where it does not answer. */
export type AskNode = (member: Member) => Promise<NodeStatus | undefined>;

/** The cluster: which nodes it has, and how they are. */
export class ClusterUseCases {
  private readonly view: () => ClusterView;
  private readonly askNode: AskNode;

  constructor(options: { readonly view: () => ClusterView; readonly askNode: AskNode }) {
    this.view = options.view;
    this.askNode = options.askNode;
  }

  /** This node's own row, and unless only that is wanted, what the others say of theirs. */
  async status(caller: Caller, { localOnly = false }: { readonly localOnly?: boolean } = {}): Promise<ClusterStatus> {
    authorize(caller, 'monitor');
    const { clusterId, self, members, cluster, stream, version } = this.view();
    const own = ownStatus(self, stream, version);
    const activeVersion = cluster?.state.activeVersion ?? 0;
    if (localOnly) return { clusterId, actor: self.actor, nodes: [own], activeVersion };
    const others = members.filter(({ actor }) => actor !== self.actor);
    const asked = others.map(async (member) => (await this.askNode(member)) ?? unreachable(member));
    const nodes = [own, ...(await Promise.all(asked))];
    const committed = Math.max(...nodes.map(({ commitIndex }) => commitIndex));
    return {
      clusterId,
      actor: self.actor,
      activeVersion,
      nodes: nodes
        .map((node) => ({ ...node, lag: node.reachable ? committed - node.commitIndex : 0 }))
        .sort((a, b) => a.actor - b.actor),
    };
  }

  /** Lets a cluster that waits for founders form without those that don't answer at these addresses. */
  async form(caller: Caller, withoutAddresses: readonly string[]): Promise<Founding> {
    authorize(caller, 'admin');
    return await this.view().formWithout(withoutAddresses);
  }

  /** Takes a member out; resolves with the voters that are left. */
  async removeMember(caller: Caller, actor: number): Promise<readonly ActorId[]> {
    authorize(caller, 'admin');
    return await removeMember(this.view(), actor);
  }

  /** Hands leadership to an actor, 0 for anybody; resolves with the leader then, where that is known. */
  async transferLeadership(caller: Caller, actor: number): Promise<ActorId | undefined> {
    authorize(caller, 'admin');
    return await transferLeadership(this.view(), actor);
  }
}

function ownStatus(self: Member, stream: Stream | undefined, version: string): NodeStatus {
  return {
    actor: self.actor,
    address: self.address,
    role: stream === undefined ? 'unknown' : roleOf(stream),
    term: stream?.group.term ?? 0,
    commitIndex: stream?.group.commitIndex ?? 0,
    lastIndex: stream?.group.tail.index ?? 0,
    lag: 0,
    reachable: true,
    version,
  };
}

/** How a node takes part in a stream. */
export function roleOf(stream: Stream): Exclude<NodeRole, 'unknown'> {
  switch (stream.group.role) {
    case 'leader':
      return 'leader';
    case 'candidate':
    case 'pre-candidate':
      return 'candidate';
    case 'follower':
      return isVoter(stream.group.membership, stream.group.self) ? 'follower' : 'learner';
  }
}

function unreachable({ actor, address }: Member): NodeStatus {
  const nothing = { term: 0, commitIndex: 0, lastIndex: 0, lag: 0 };
  return { actor, address, role: 'unknown', ...nothing, reachable: false, version: '' };
}
