import { randomBytes } from 'node:crypto';
import type { CallContext } from '../rpc/index.js';
import { instanceOf, isSignedBy, type NodeKey, type proto } from '../wire/index.js';
import { foreign, type Hello, helloMetadata } from './hello.js';

/*
 * A stream between nodes opens with a handshake, in which each side proves that
 * it is the node that it says it is. Instances and cluster ids are known to
 * everybody that asks; each instance is the fingerprint of a public key, and the
 * proof is a signature by its private key. It is over all that both sides have
 * said: the caller's metadata, its nonce among them, the method, and the other
 * side's nonce. So it holds for this one stream and can't be used again.
 *
 *     caller                                   callee
 *     metadata: hello, key, nonce      ──▶
 *                                      ◀──     headers: key, nonce, proof
 *     first message: proof             ──▶
 *
 * It shows which node opens a stream. It does not keep a third party between the two
 * nodes from changing what they say afterwards: that takes TLS.
 */

const NONCE_BYTES = 16;
const KEY = 'flotilla-key';
const NONCE = 'flotilla-nonce';
const PROOF = 'flotilla-proof';

type Role = 'caller' | 'callee';

/** What is signed. Metadata has no line ends, and so no two handshakes have the same text. */
function signedText(role: Role, method: string, said: Readonly<Record<string, string>>, calleeNonce: string): string {
  const lines = Object.entries(said).map(([key, value]) => `${key}: ${value}`);
  return ['flotilla handshake 1', role, method, ...lines.sort(), calleeNonce].join('\n');
}

/** The caller's side of one stream. */
export class CallerHandshake {
  /** Opens the stream. */
  readonly metadata: Readonly<Record<string, string>>;
  private readonly wantedInstance: string;
  private readonly wantedName: string;
  private readonly key: NodeKey;
  private readonly method: string;
  private calleeNonce: string | undefined;

  constructor(hello: Hello, key: NodeKey, method: string) {
    this.key = key;
    this.method = method;
    this.wantedInstance = hello.wanted.instance;
    this.wantedName = `actor ${hello.wanted.actor}`;
    const said = { [KEY]: hex(key.publicKey), [NONCE]: randomBytes(NONCE_BYTES).toString('hex') };
    this.metadata = { ...helloMetadata(hello), ...said };
  }

  /**
   * Whether the other side has proved that it is the node that was wanted: only then does anything that it says count.
   */
  get isProved(): boolean {
    return this.calleeNonce !== undefined;
  }

  /**
   * Takes in the headers of the answer. Throws FOREIGN_NODE where they do not prove that this is the node that was
   * wanted.
   */
  takeHeaders(header: (key: string) => string | undefined): void {
    const publicKey = Buffer.from(header(KEY) ?? '', 'hex');
    const nonce = header(NONCE) ?? '';
    const text = signedText('callee', this.method, this.metadata, nonce);
    if (
      instanceOf(publicKey) !== this.wantedInstance ||
      !isSignedBy(publicKey, text, Buffer.from(header(PROOF) ?? '', 'hex'))
    )
      throw foreign(`the node that listens there does not prove that it is ${this.wantedName}`);
    this.calleeNonce = nonce;
  }

  /** The proof by `key`: this node's own, or that of the one that it was. After {@link takeHeaders}. */
  signature(key = this.key): Uint8Array {
    if (this.calleeNonce === undefined) throw foreign(`${this.wantedName} has not proved its identity yet`);
    return key.sign(signedText('caller', this.method, this.metadata, this.calleeNonce));
  }
}

/** The other side of it. */
export class CalleeHandshake {
  readonly hello: Hello;
  private readonly said: Readonly<Record<string, string>>;
  private readonly method: string;
  private readonly nonce = randomBytes(NONCE_BYTES).toString('hex');

  /** Sends the headers, which tell the caller which node answers. */
  constructor(call: CallContext, hello: Hello, key: NodeKey, method: string) {
    this.hello = hello;
    this.method = method;
    const names = [...Object.keys(helloMetadata(hello)), KEY, NONCE];
    this.said = Object.fromEntries(names.map((name) => [name, call.metadata(name) ?? '']));
    call.setHeader(KEY, hex(key.publicKey));
    call.setHeader(NONCE, this.nonce);
    call.setHeader(PROOF, hex(key.sign(signedText('callee', method, this.said, this.nonce))));
    call.sendHeaders();
  }

  /** Throws FOREIGN_NODE unless the caller has the key of the instance that it names. */
  requireProof(signature: Uint8Array): void {
    const { actor, instance } = this.hello;
    if (!this.isProvedBy({ instance, publicKey: Buffer.from(this.said[KEY] ?? '', 'hex'), signature }))
      throw foreign(`the caller does not prove that it is actor ${actor} with the data directory ${instance}`);
  }

  /** Whether the caller has the key of this instance. */
  isProvedBy({
    instance,
    publicKey,
    signature,
  }: {
    instance: string;
    publicKey: Uint8Array;
    signature: Uint8Array;
  }): boolean {
    if (instanceOf(publicKey) !== instance) return false;
    return isSignedBy(publicKey, signedText('caller', this.method, this.said, this.nonce), signature);
  }
}

/** The proof in the first message of a Deliver stream. */
export function proofIn({ message }: proto.DeliverRequest): proto.Proof | undefined {
  return message?.$case === 'proof' ? message.value : undefined;
}

export function required(proof: proto.Proof | undefined): proto.Proof {
  if (proof === undefined) throw foreign('the caller does not prove its identity');
  return proof;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
