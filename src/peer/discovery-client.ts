import { actorId, FlotillaError, LIMITS, type Member, messageOf } from '../base/index.js';
import { RpcClient } from '../rpc/index.js';
import { proto, type VersionRange } from '../wire/index.js';
import { type Application, apply } from './application.js';
import type { Introduction } from './founding.js';
import { isAddress } from './hello.js';

/** How long one introduction may take. */
const INTRODUCE_TIMEOUT_MS = 1000;

/** A leader answers when the change of its members is committed. */
const JOIN_TIMEOUT_MS = LIMITS.memberChangeMs + 1000;

/** Asks addresses which node listens there. */
export interface DiscoveryClient {
  /** Rejects where no node answers. */
  introduce(address: string, request: proto.IntroduceRequest): Promise<proto.IntroduceResponse>;
  /**
   * Asks `member`, which is at `address`, to take this node in. Rejects with NOT_LEADER and the leader's address
   * where another is to be asked.
   */
  join(address: string, member: Member, application: Application): Promise<proto.JoinResponse>;
  /** Lets go of every address but these. */
  keep(addresses: ReadonlySet<string>): void;
}

/** Over gRPC, with a connection for each address while it is asked again and again. */
export class RpcDiscoveryClient implements DiscoveryClient {
  private readonly clients = new Map<string, RpcClient<typeof proto.PeerServiceDefinition>>();

  async introduce(address: string, request: proto.IntroduceRequest): Promise<proto.IntroduceResponse> {
    return await this.clientOf(address).unary('introduce', request, { timeoutMs: INTRODUCE_TIMEOUT_MS });
  }

  async join(address: string, member: Member, application: Application): Promise<proto.JoinResponse> {
    const client = this.clientOf(address);
    return await apply(application, member, (metadata) =>
      client.duplex('join', { metadata, timeoutMs: JOIN_TIMEOUT_MS }),
    );
  }

  private clientOf(address: string): RpcClient<typeof proto.PeerServiceDefinition> {
    const client = this.clients.get(address) ?? new RpcClient(proto.PeerServiceDefinition, address);
    this.clients.set(address, client);
    return client;
  }

  keep(addresses: ReadonlySet<string>): void {
    for (const [address, client] of this.clients) {
      if (addresses.has(address)) continue;
      client.close();
      this.clients.delete(address);
    }
  }
}

/** Throws NOT_READY unless this node reaches `joiner` where it says that it is. */
export async function requireReachable(joiner: Member, self: Member): Promise<void> {
  const discovery = new RpcDiscoveryClient();
  try {
    const response = await discovery.introduce(joiner.address, { self: memberToProto(self), clusterId: '' });
    if (response.self?.instanceId === joiner.instance) return;
    throw new FlotillaError('UNREACHABLE', 'another node listens there');
  } catch (cause) {
    throw new FlotillaError(
      'NOT_READY',
      `actor ${joiner.actor} can't be reached at ${joiner.address} from ${self.address} ` +
        `(${messageOf(cause)}), so it was not taken in: ` +
        'look at its --advertise, and at what lies between',
      { cause },
    );
  } finally {
    discovery.keep(new Set());
  }
}

/** Checks what an address answered. Throws INVALID_ARGUMENT where it is no introduction that can be used. */
export function readIntroduction(response: proto.IntroduceResponse): Introduction {
  if (response.peerAddresses.length > LIMITS.peerAddresses || response.withoutAddresses.length > LIMITS.peerAddresses) {
    throw new FlotillaError('INVALID_ARGUMENT', `it names more than ${LIMITS.peerAddresses} peers`);
  }
  return {
    self: memberFromProto(response.self),
    clusterId: response.clusterId,
    clusterMembers: membersFromProto(response.clusterMembers),
    peerAddresses: response.peerAddresses,
    known: membersFromProto(response.known),
    promised: membersFromProto(response.promised),
    without: response.withoutAddresses,
    versions: versionsFromProto(response.protocolVersion, response.highestVersion),
  };
}

/** A node that speaks one version says only that. */
function versionsFromProto(lowest: number, highest: number): VersionRange {
  return { lowest, highest: Math.max(lowest, highest) };
}

export function memberToProto({ actor, instance, address }: Member): proto.Member {
  return { actorId: actor, instanceId: instance, address };
}

/** Throws INVALID_ARGUMENT where it names no node. */
export function memberFromProto(member: proto.Member | undefined): Member {
  if (member === undefined)
    throw new FlotillaError('INVALID_ARGUMENT', 'self: the message does not name the node that it is of');
  const { actorId: actor, instanceId: instance, address } = member;
  const valid = actor >= 1 && actor <= LIMITS.actorIdMax && /^[0-9a-f]{32}$/.test(instance) && isAddress(address);
  if (!valid)
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `it names a node that can't be one: actor ${actor} at ${JSON.stringify(address)}`,
    );
  return { actor: actorId(actor), instance, address };
}

function membersFromProto(members: readonly proto.Member[]): Member[] {
  if (members.length > LIMITS.peerAddresses)
    throw new FlotillaError('INVALID_ARGUMENT', `it names more than ${LIMITS.peerAddresses} nodes`);
  return members.map(memberFromProto);
}
