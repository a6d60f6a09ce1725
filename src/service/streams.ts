import { FlotillaError } from '../base/index.js';
import { checkStreamName, DEFAULT_STREAM } from '../event/index.js';
import type { Stream } from '../stream/index.js';

/** The streams that this node serves. */
export interface Streams {
  /** The stream; throws NOT_FOUND, or NOT_READY while the cluster is still forming. */
  find(name: string): Stream;
  /** HOST:PORT of the stream's leader, where it is known. */
  leaderAddress(stream: Stream): string | undefined;
  /** HOST:PORT of every member. */
  memberAddresses(): string[];
}

/** The stream that a request names; the empty name is the default one. */
export function findStream(streams: Streams, name: string): Stream {
  if (name === '') return streams.find(DEFAULT_STREAM);
  checkStreamName(name, 'stream');
  return streams.find(name);
}

/** Adds where the leader is to a refusal that sends the client there. */
export function withLeader(error: unknown, leader: string | undefined): unknown {
  if (!(error instanceof FlotillaError) || leader === undefined || error.leader !== undefined) return error;
  if (error.code !== 'NOT_LEADER' && error.code !== 'NO_LEADER') return error;
  return new FlotillaError(error.code, error.message, { cause: error, leader });
}

/** A position of another incarnation is one of another history. The empty one is not asked for. */
export function requireIncarnation(stream: Stream, incarnation: string, field = 'incarnation'): void {
  if (incarnation === '' || incarnation === stream.group.incarnation) return;
  throw new FlotillaError(
    'POSITION_MISMATCH',
    `${field}: the stream's is ${stream.group.incarnation}, not ${incarnation}: it was created anew or restored`,
  );
}
