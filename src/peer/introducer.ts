import { actorId, FlotillaError, LIMITS } from '../base/index.js';
import { RpcClient } from '../rpc/index.js';
import { type Member, proto } from '../wire/index.js';
import type { Introduction } from './founding.js';
import { PROTOCOL_VERSION } from './hello.js';

/** How long one introduction may take. */
const INTRODUCE_TIMEOUT_MS = 1000;

/** Asks addresses who listens there. */
export interface Introducer {
  /** Rejects where nobody answers. */
  introduce(address: string, request: proto.IntroduceRequest): Promise<proto.IntroduceResponse>;
  /** Lets go of every address but these. */
  keep(addresses: ReadonlySet<string>): void;
}

/** Over gRPC, with a connection for each address while it is asked again and again. */
export class RpcIntroducer implements Introducer {
  private readonly clients = new Map<string, RpcClient<typeof proto.PeerServiceDefinition>>();

  async introduce(address: string, request: proto.IntroduceRequest): Promise<proto.IntroduceResponse> {
    const client = this.clients.get(address) ?? new RpcClient(proto.PeerServiceDefinition, address);
    this.clients.set(address, client);
    return await client.unary('introduce', request, { timeoutMs: INTRODUCE_TIMEOUT_MS });
  }

  keep(addresses: ReadonlySet<string>): void {
    for (const [address, client] of this.clients) {
      if (addresses.has(address)) continue;
      client.close();
      this.clients.delete(address);
    }
  }
}

/** Checks what an address answered. Throws INVALID_ARGUMENT where it is no introduction that can be used. */
export function readIntroduction(response: proto.IntroduceResponse): Introduction {
  if (response.protocolVersion !== PROTOCOL_VERSION) {
    throw new FlotillaError('INVALID_ARGUMENT', `it speaks protocol ${response.protocolVersion}, this version ${PROTOCOL_VERSION}`);
  }
  if (response.peerAddresses.length > LIMITS.peerAddresses) {
    throw new FlotillaError('INVALID_ARGUMENT', `it names more than ${LIMITS.peerAddresses} peers`);
  }
  return {
    self: memberFromProto(response.self),
    clusterId: response.clusterId,
    clusterMembers: membersFromProto(response.clusterMembers),
    peerAddresses: response.peerAddresses,
    known: membersFromProto(response.known),
    promised: membersFromProto(response.promised),
  };
}

export function memberToProto({ actor, instance, address }: Member): proto.Member {
  return { actorId: actor, instanceId: instance, address };
}

/** Throws INVALID_ARGUMENT where it names no node. */
export function memberFromProto(member: proto.Member | undefined): Member {
  if (member === undefined) throw new FlotillaError('INVALID_ARGUMENT', 'it does not say who it is');
  const { actorId: actor, instanceId: instance, address } = member;
  const valid = actor >= 1 && actor <= LIMITS.actorIdMax && /^[0-9a-f]{32}$/.test(instance) && /^\S{1,300}:\d{1,5}$/.test(address);
  if (!valid)
    throw new FlotillaError('INVALID_ARGUMENT', `it names a node that can't be one: actor ${actor} at ${JSON.stringify(address)}`);
  return { actor: actorId(actor), instance, address };
}

function membersFromProto(members: readonly proto.Member[]): Member[] {
  if (members.length > LIMITS.peerAddresses)
    throw new FlotillaError('INVALID_ARGUMENT', `it names more than ${LIMITS.peerAddresses} nodes`);
  return members.map(memberFromProto);
}
