import { type Handlers, RpcClient } from '../rpc/index.js';
import type { AskNode, Caller, ClusterUseCases, NodeRole, NodeStatus } from '../service/index.js';
import { proto } from '../wire/index.js';

/** How long a node that does not answer may hold up the picture of the cluster. */
const ASK_TIMEOUT_MS = 1000;

const ROLES: Readonly<Record<NodeRole, proto.NodeRole>> = {
  unknown: proto.NodeRole.UNSPECIFIED,
  leader: proto.NodeRole.LEADER,
  follower: proto.NodeRole.FOLLOWER,
  candidate: proto.NodeRole.CANDIDATE,
  learner: proto.NodeRole.LEARNER,
};

/** proto/flotilla/v1/cluster_service.proto. */
export function clusterHandlers(
  cluster: ClusterUseCases,
  caller: Caller,
): Handlers<typeof proto.ClusterServiceDefinition> {
  return {
    getStatus: async (request) => {
      const { clusterId, actor, nodes, activeVersion } = await cluster.status(caller, request);
      return { clusterId, actorId: actor, nodes: nodes.map(statusToProto), activeVersion };
    },
    formCluster: async ({ withoutAddresses }) => {
      const { clusterId, membership } = await cluster.form(caller, withoutAddresses);
      return { clusterId, voters: [...membership.voters] };
    },
    removeMember: async ({ actorId }) => ({ voters: [...(await cluster.removeMember(caller, actorId))] }),
    transferLeadership: async ({ actorId }) => ({
      leaderActorId: (await cluster.transferLeadership(caller, actorId)) ?? 0,
    }),
  };
}

/** Asks another node by the same call. */
export const askNode: AskNode = async ({ actor, address }) => {
  const client = new RpcClient(proto.ClusterServiceDefinition, address);
  try {
    const { actorId, nodes } = await client.unary('getStatus', { localOnly: true }, { timeoutMs: ASK_TIMEOUT_MS });
    const [status] = nodes;
    return status === undefined || actorId !== actor ? undefined : statusFromProto(status);
  } catch {
    // Whatever kept it from answering, its row says that it did not.
    return undefined;
  } finally {
    client.close();
  }
};

function statusToProto({ actor, role, ...status }: NodeStatus): proto.NodeStatus {
  return { actorId: actor, role: ROLES[role], ...status };
}

function statusFromProto({ actorId, role: sent, ...status }: proto.NodeStatus): NodeStatus {
  const [role = 'unknown'] = (Object.keys(ROLES) as NodeRole[]).filter((each) => ROLES[each] === sent);
  return { actor: actorId, role, ...status };
}
