import { FlotillaError, type Member, messageOf } from '../base/index.js';
import type { ClientDuplex } from '../rpc/index.js';
import type { NodeKey, proto } from '../wire/index.js';
import { askOnce } from './exchange.js';
import { type CalleeHandshake, CallerHandshake } from './handshake.js';
import { foreign, type Hello } from './hello.js';

const NOTHING = new Uint8Array(0);

/** What a node says when it asks to be taken in. */
export interface Application {
  /** The hello, but for the member that is asked. */
  readonly hello: Omit<Hello, 'wanted'>;
  readonly key: NodeKey;
  /** The key of the member whose seat it asks for. */
  readonly predecessor?: NodeKey | undefined;
}

/**
 * Asks `member` to be taken in. `open` makes the call with this metadata. Rejects with UNREACHABLE where another node
 * answers.
 */
export async function apply(
  { hello, key, predecessor }: Application,
  member: Member,
  open: (metadata: Readonly<Record<string, string>>) => ClientDuplex<proto.JoinRequest, proto.JoinResponse>,
): Promise<proto.JoinResponse> {
  const handshake = new CallerHandshake({ ...hello, wanted: member }, key, 'Join');
  try {
    return await askOnce(open(handshake.metadata), handshake, () => ({
      proof: { signature: handshake.signature(), vouchers: [] },
      predecessorInstance: predecessor?.instance ?? '',
      predecessorKey: predecessor?.publicKey ?? NOTHING,
      predecessorSignature: predecessor === undefined ? NOTHING : handshake.signature(predecessor),
    }));
  } catch (error) {
    // An unknown peer at that address must not be able to end this node.
    if (handshake.isProved) throw error;
    throw new FlotillaError('UNREACHABLE', `it does not prove that it is actor ${member.actor}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The node that asks, and the instance that it succeeds. Throws FOREIGN_NODE unless it has the keys of both. */
export function readApplication(
  handshake: CalleeHandshake,
  { proof, predecessorInstance, predecessorKey, predecessorSignature }: proto.JoinRequest,
): { readonly joiner: Member; readonly predecessor: string | undefined } {
  const { actor, instance, address } = handshake.hello;
  handshake.requireProof(proof?.signature ?? NOTHING);
  const joiner = { actor, instance, address };
  if (predecessorInstance === '') return { joiner, predecessor: undefined };
  const claim = { instance: predecessorInstance, publicKey: predecessorKey, signature: predecessorSignature };
  if (!handshake.isProvedBy(claim))
    throw foreign(
      `actor ${actor} does not prove that it is the successor of the data directory ${predecessorInstance}`,
    );
  return { joiner, predecessor: predecessorInstance };
}
