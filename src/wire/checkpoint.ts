import { FlotillaError, type LogIndex } from '../base/index.js';
import type { LogTail, Membership } from './record.js';

/**
 * All that a log builds on: where it begins, and the state as of there. What a
 * segment's header holds; a snapshot is that of the first one, and a node that
 * has it goes on with the records after it.
 */
export interface Checkpoint {
  /** 32 hexadecimal digits. */
  readonly incarnation: string;
  /** What stands before the first record. */
  readonly before: LogTail;
  /** The configuration in force before the first record, and the index that set it. */
  readonly membership: Membership;
  readonly membershipIndex: LogIndex;
}

const FORMAT = 1;

export function encodeCheckpoint({ incarnation, before, membership, membershipIndex }: Checkpoint): Buffer {
  return Buffer.from(JSON.stringify({ format: FORMAT, incarnation, before, membership, membershipIndex }));
}

/** Throws FOREIGN_NODE where the bytes, whose digest was verified, are of another format. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const decoded = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()) as Checkpoint & { format: unknown };
  const { format, ...checkpoint } = decoded;
  if (format === FORMAT) return checkpoint;
  throw new FlotillaError(
    'FOREIGN_NODE',
    `a snapshot has format ${String(format)}; this version reads format ${FORMAT}: use a newer Flotilla`,
  );
}
