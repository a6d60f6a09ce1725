import { FlotillaError, LIMITS } from '../base/index.js';
import type { EventLimits } from '../event/index.js';
import { checkBatch } from '../service/index.js';
import {
  type Compression,
  decodeScanned,
  inflate,
  isMalformed,
  type MessageSchema,
  type PackedBody,
  proto,
  scanMessage,
  varintOf,
} from '../wire/index.js';
import { type BatchRequest, contentFromProto } from './batch-mapping.js';

/** Requests that carry batches. */
const APPEND = '/flotilla.v1.EventService/Append';
const PRODUCE = '/flotilla.v1.EventService/Produce';

/** One request, as its bytes came in. */
export interface BatchJob {
  readonly path: string;
  readonly schema: MessageSchema;
  readonly bytes: Uint8Array;
  readonly compression: Compression | undefined;
}

export interface WorkerLimits {
  readonly event: EventLimits;
  readonly messageBytesMax: number;
}

/** What passes between threads of an error. */
export interface Refusal {
  readonly code: FlotillaError['code'];
  readonly message: string;
}

export type AnyBatchRequest = (proto.AppendRequest | proto.ProduceRequest) & Pick<BatchRequest, 'taken'>;

export type BatchResult =
  /** The request without its events, and what came of its body. */
  | { readonly kind: 'request'; readonly request: AnyBatchRequest; readonly taken: PackedBody | Refusal }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'failed'; readonly message: string };

export function carriesBatch(path: string): boolean {
  return path === APPEND || path === PRODUCE;
}

/** Does for one large request what else the event loop does for a small one. Throws where nothing of it can be told. */
export function decodeBatch({ path, schema, bytes, compression }: BatchJob, limits: WorkerLimits): BatchResult {
  const plain = compression === undefined ? bytes : inflate(compression, bytes, limits.messageBytesMax);
  if (plain === undefined) {
    throw new FlotillaError(
      'MESSAGE_TOO_LARGE',
      `the message inflates to more than the ${limits.messageBytesMax} bytes that this node takes`,
    );
  }
  try {
    if (scanMessage(schema, plain, LIMITS.batchRequestFields) === undefined) {
      throw new FlotillaError('INVALID_ARGUMENT', `the request has more than ${LIMITS.batchRequestFields} fields`);
    }
    const request = decodeScanned<AnyBatchRequest>(path === APPEND ? proto.AppendRequest : proto.ProduceRequest, plain);
    const taken = resultOf(() => checkBatch(contentFromProto(request), limits.event));
    return { kind: 'request', request: { ...request, events: [], packed: undefined }, taken };
  } catch (error) {
    const told = error instanceof FlotillaError ? refusedBatch(path, plain, error) : undefined;
    if (told === undefined) throw error;
    return { kind: 'request', request: { ...told, taken: undefined }, taken: refusalOf(error) };
  }
}

/**
 * What stands for a batch of a Produce stream of which some value is refused: it
 * has its number, and the other batches are not touched. Undefined for bytes that
 * are no message: then nothing is certain of what follows, either.
 */
export function refusedBatch(path: string, bytes: Uint8Array, error: FlotillaError): AnyBatchRequest | undefined {
  if (path !== PRODUCE || isMalformed(error)) return undefined;
  const requestId = varintOf(bytes, REQUEST_ID).toString();
  return { requestId, stream: '', events: [], packed: undefined, producer: undefined, taken: error };
}

/** Number of its field. */
const REQUEST_ID = 1;

function resultOf(take: () => PackedBody): PackedBody | Refusal {
  try {
    return take();
  } catch (error) {
    return refusalOf(error);
  }
}

function refusalOf(error: unknown): Refusal {
  if (!(error instanceof FlotillaError)) throw error;
  return { code: error.code, message: error.message };
}
