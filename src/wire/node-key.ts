import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { present } from '../base/index.js';

/** Bytes of an Ed25519 public key, and of a signature (RFC 8032). */
export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;

const CURVE = { kty: 'OKP', crv: 'Ed25519' } as const;

/**
 * The key pair of one node's data directory (Ed25519). Everyone may know a node's instance id, which is the fingerprint
 * of its public key; only the directory has the private key. So a node can show that it is the member that the log
 * names, and no one else can.
 */
export class NodeKey {
  readonly publicKey: Uint8Array;
  /**
   * A process that has it is this node: it stays in the data directory. The private key and the public one, base64url.
   */
  readonly secret: string;
  /** 32 hexadecimal digits. */
  readonly instance: string;
  private readonly key: KeyObject;

  private constructor(key: KeyObject) {
    const { d, x } = key.export({ format: 'jwk' });
    this.key = key;
    this.secret = `${present(d, 'a private key')}.${present(x, 'a public key')}`;
    this.publicKey = Buffer.from(present(x, 'a public key'), 'base64url');
    this.instance = instanceOf(this.publicKey);
  }

  static generate(): NodeKey {
    return new NodeKey(generateKeyPairSync('ed25519').privateKey);
  }

  static fromSecret(secret: string): NodeKey {
    const [d = '', x = ''] = secret.split('.');
    return new NodeKey(createPrivateKey({ key: { ...CURVE, d, x }, format: 'jwk' }));
  }

  sign(text: string): Uint8Array {
    return sign(null, Buffer.from(text), this.key);
  }
}

/** The id of the data directory that has this key: half of the SHA-256 of its public part, 32 hexadecimal digits. */
export function instanceOf(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('hex').slice(0, 32);
}

/** Whether the holder of `publicKey` has signed `text`. False, too, where these are no key and no signature. */
export function isSignedBy(publicKey: Uint8Array, text: string, signature: Uint8Array): boolean {
  if (publicKey.byteLength !== PUBLIC_KEY_BYTES || signature.byteLength !== SIGNATURE_BYTES) return false;
  const key = createPublicKey({ key: { ...CURVE, x: Buffer.from(publicKey).toString('base64url') }, format: 'jwk' });
  return verify(null, Buffer.from(text), key, signature);
}
