import type { ActorId } from '../base/index.js';
import { type Configuration, isVoter } from '../raft/index.js';
import type { Replica } from '../replica/index.js';
import { type Handlers, RpcClient } from '../rpc/index.js';
import { type Member, proto } from '../wire/index.js';
import { type MembersView, removeMember, transferLeadership } from './members.js';

/** How long a node that does not answer may hold up the picture of the cluster. */
const ASK_TIMEOUT_MS = 1000;

/** What the cluster service needs to know of its node. */
export interface ClusterView extends MembersView {
  readonly version: string;
  /** Empty while the cluster is still forming. */
  readonly clusterId: string;
  readonly members: readonly Member[];
  /** Lets the cluster form without founders that don't answer at these addresses. */
  readonly formWithout: (addresses: readonly string[]) => Promise<Founding>;
}

/** A cluster that has formed. */
export interface Founding {
  readonly clusterId: string;
  readonly membership: Configuration;
}

/** proto/flotilla/v1/cluster_service.proto. The status: this node's own row, and what the others say of theirs. */
export function clusterHandlers(view: () => ClusterView): Handlers<typeof proto.ClusterServiceDefinition> {
  return {
    getStatus: async (request) => {
      const { clusterId, self, members, replica, version } = view();
      const own = ownStatus(self, replica, version);
      const activeVersion = replica?.members.activeVersion ?? 0;
      if (request.localOnly) return { clusterId, actorId: self.actor, nodes: [own], activeVersion };
      const others = members.filter(({ actor }) => actor !== self.actor);
      const nodes = [own, ...(await Promise.all(others.map(askNode)))];
      const committed = Math.max(...nodes.map(({ commitIndex }) => commitIndex));
      return {
        clusterId,
        actorId: self.actor,
        activeVersion,
        nodes: nodes
          .map((node) => ({ ...node, lag: node.reachable ? committed - node.commitIndex : 0 }))
          .sort((a, b) => a.actorId - b.actorId),
      };
    },
    formCluster: async ({ withoutAddresses }) => {
      const { clusterId, membership } = await view().formWithout(withoutAddresses);
      return { clusterId, voters: [...membership.voters] };
    },
    removeMember: async ({ actorId }) => ({ voters: [...(await removeMember(view(), actorId)).voters] }),
    transferLeadership: async ({ actorId }) => ({ leaderActorId: (await transferLeadership(view(), actorId)) ?? 0 }),
  };
}

function ownStatus(self: Member, replica: Replica | undefined, version: string): proto.NodeStatus {
  return {
    actorId: self.actor,
    address: self.address,
    role: replica === undefined ? proto.NodeRole.UNSPECIFIED : roleOf(replica, self.actor),
    term: replica?.term ?? 0,
    commitIndex: replica?.commitIndex ?? 0,
    lastIndex: replica?.tail.index ?? 0,
    lag: 0,
    reachable: true,
    version,
  };
}

function roleOf(replica: Replica, self: ActorId): proto.NodeRole {
  switch (replica.role) {
    case 'leader':
      return proto.NodeRole.LEADER;
    case 'candidate':
    case 'pre-candidate':
      return proto.NodeRole.CANDIDATE;
    case 'follower':
      return isVoter(replica.membership, self) ? proto.NodeRole.FOLLOWER : proto.NodeRole.LEARNER;
  }
}

async function askNode(member: Member): Promise<proto.NodeStatus> {
  const client = new RpcClient(proto.ClusterServiceDefinition, member.address);
  try {
    const { actorId, nodes } = await client.unary('getStatus', { localOnly: true }, { timeoutMs: ASK_TIMEOUT_MS });
    const [status] = nodes;
    if (status !== undefined && actorId === member.actor) return status;
  } catch {
    // Whatever kept it from answering, the row says that it did not.
  } finally {
    client.close();
  }
  return {
    actorId: member.actor,
    address: member.address,
    role: proto.NodeRole.UNSPECIFIED,
    term: 0,
    commitIndex: 0,
    lastIndex: 0,
    lag: 0,
    reachable: false,
    version: '',
  };
}
