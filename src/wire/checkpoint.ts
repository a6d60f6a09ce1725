import { FlotillaError, type LogIndex } from '../base/index.js';
import type { LogTail, Membership } from './record.js';

/** Where a log, or a segment of one, begins: what a segment's header holds. */
export interface LogOrigin {
  /** 32 hexadecimal digits. */
  readonly incarnation: string;
  /** What stands before the first record. */
  readonly before: LogTail;
  /** The configuration in force before the first record, and the index that set it. */
  readonly membership: Membership;
  readonly membershipIndex: LogIndex;
}

/**
 * All that a log builds on: where it begins, and the state as of there. A
 * snapshot is that of the first segment, and a node that has it goes on with the
 * records after it.
 */
export interface Checkpoint extends LogOrigin {
  /** The machine's encoded state when the record before the first was applied; see src/machine. */
  readonly state: Uint8Array;
}

const FORMAT = 1;
const LINE_END = 0x0a;

/** One line of JSON, then the state. The code that keeps or sends the bytes adds a checksum. */
export function encodeCheckpoint({ state, incarnation, before, membership, membershipIndex }: Checkpoint): Buffer {
  const line = JSON.stringify({ format: FORMAT, incarnation, before, membership, membershipIndex });
  return Buffer.concat([Buffer.from(`${line}\n`), state]);
}

/** Verify the digest of the bytes first. Throws FOREIGN_NODE where they are of another format. */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  const lineEnd = bytes.indexOf(LINE_END);
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, lineEnd === -1 ? bytes.byteLength : lineEnd).toString();
  const { format, ...origin } = JSON.parse(line) as LogOrigin & { format: unknown };
  if (format === FORMAT) return { ...origin, state: bytes.subarray(lineEnd + 1) };
  throw new FlotillaError(
    'FOREIGN_NODE',
    `a snapshot has format ${String(format)}; this version reads format ${FORMAT}: use a newer Flotilla`,
  );
}
