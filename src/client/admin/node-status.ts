import { proto } from '../../wire/index.js';

/** A member of the cluster, as the node that was asked sees it. */
export interface NodeStatus {
  readonly actorId: number;
  /** HOST:PORT that others are told. */
  readonly address: string;
  /** Undefined where the node could not be reached. */
  readonly role: 'leader' | 'follower' | 'candidate' | 'learner' | undefined;
  readonly term: number;
  readonly commitIndex: number;
  readonly lastIndex: number;
  /** Entries that the leader has committed and this node does not yet know of. */
  readonly lag: number;
  readonly reachable: boolean;
  readonly version: string;
}

const ROLES: Readonly<Record<proto.NodeRole, NodeStatus['role']>> = {
  [proto.NodeRole.UNSPECIFIED]: undefined,
  [proto.NodeRole.LEADER]: 'leader',
  [proto.NodeRole.FOLLOWER]: 'follower',
  [proto.NodeRole.CANDIDATE]: 'candidate',
  [proto.NodeRole.LEARNER]: 'learner',
};

export function nodeStatusFrom(message: proto.NodeStatus): NodeStatus {
  const { actorId, address, term, commitIndex, lastIndex, lag, reachable, version } = message;
  return { actorId, address, role: ROLES[message.role], term, commitIndex, lastIndex, lag, reachable, version };
}
