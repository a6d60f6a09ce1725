import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { status as GrpcStatus, Metadata, type StatusObject } from '@grpc/grpc-js';
import { ERRORS, type ErrorCode, FlotillaError, isErrorCode } from '../base/index.js';

/** Trailers of a failed call: our stable code, and HOST:PORT of the leader where it is known. */
const CODE_TRAILER = 'flotilla-code';
const LEADER_TRAILER = 'flotilla-leader';

/** Characters of a message that travel; beyond them the trailers would burst the receiver's limit. */
const MESSAGE_LENGTH_MAX = 1024;

/** The status that a failed handler answers with. What is none of our errors tells nothing of the inside. */
export function statusFromError(error: unknown): StatusObject {
  if (!(error instanceof FlotillaError)) return statusOf('INTERNAL', "internal error; see the node's log", undefined);
  return statusOf(error.code, error.message, error.leader);
}

/** Ends a stream of which grpc-js knows nothing, or should hear no more. `headers` win over what the error says. */
export function refuseStream(stream: ServerHttp2Stream, error: unknown, headers: OutgoingHttpHeaders = {}): void {
  stream.on('error', () => undefined);
  // The rest of the request is passed over.
  stream.resume();
  if (stream.headersSent || stream.destroyed) {
    stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    return;
  }
  const { code, details, metadata } = statusFromError(error);
  const answer = {
    [constants.HTTP2_HEADER_STATUS]: constants.HTTP_STATUS_OK,
    [constants.HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc+proto',
    [STATUS_HEADER]: code,
    'grpc-message': encodeURI(details),
  };
  stream.respond({ ...answer, ...metadata.toHttp2Headers(), ...headers }, { endStream: true });
}

/**
 * Adds our code to the trailers of a call that grpc-js itself has failed: a caller that compares codes finds one in
 * every refusal.
 */
export function withCode(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const status = headers[STATUS_HEADER];
  if (status === undefined || Number(status) === GrpcStatus.OK || headers[CODE_TRAILER] !== undefined) return headers;
  return { ...headers, [CODE_TRAILER]: CODES_OF_GRPC_JS[Number(status)] ?? 'OUTCOME_UNKNOWN' };
}

const STATUS_HEADER = 'grpc-status';

const CODES_OF_GRPC_JS: Readonly<Record<number, ErrorCode>> = {
  [GrpcStatus.CANCELLED]: 'CANCELLED',
  [GrpcStatus.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [GrpcStatus.INVALID_ARGUMENT]: 'INVALID_ARGUMENT',
  [GrpcStatus.NOT_FOUND]: 'NOT_FOUND',
  // What it answers with that is too large.
  [GrpcStatus.RESOURCE_EXHAUSTED]: 'MESSAGE_TOO_LARGE',
};

function statusOf(code: ErrorCode, message: string, leader: string | undefined): StatusObject {
  const metadata = new Metadata();
  metadata.set(CODE_TRAILER, code);
  if (leader !== undefined && /^[\x21-\x7e]+$/.test(leader)) metadata.set(LEADER_TRAILER, leader);
  return { code: GrpcStatus[ERRORS[code].grpc], details: transportable(message), metadata };
}

/** grpc-js percent-encodes messages with encodeURI, which throws on half a surrogate pair. */
function transportable(message: string): string {
  const cut = message.length > MESSAGE_LENGTH_MAX ? `${message.slice(0, MESSAGE_LENGTH_MAX)}…` : message;
  return cut.replace(/\p{Surrogate}/gu, '\uFFFD');
}

/** What grpc-js reports of a call that failed. */
export type FailedCall = Readonly<StatusObject>;

/** How grpc-js says that a call had no connection to go by. */
const NEVER_SENT = new RegExp(
  '^(No connection established|Name resolution failed|Resolved|Channel has been shut down|' +
    'Channel closed before call started)',
);

/**
 * Whether anything of a failed call can have left this process. grpc-js tells
 * it only by its words; what it does not say clearly counts as sent.
 */
export function mayHaveBeenSent(failed: FailedCall): boolean {
  const { code, details } = failed;
  if (code === GrpcStatus.UNAVAILABLE) {
    return !NEVER_SENT.test(details);
  }
  if (code === GrpcStatus.DEADLINE_EXCEEDED)
    return !/Waiting for LB pick|waiting for name resolution|waiting for metadata filters/.test(details);
  return true;
}

/** What a status means that comes without our code: from grpc-js on either side, or from what lies between. */
function codeOfTransport({ code, details }: FailedCall): ErrorCode {
  switch (code) {
    case GrpcStatus.CANCELLED:
      // The same status stands for a stream that the other side reset.
      return details.includes('on client') ? 'CANCELLED' : 'OUTCOME_UNKNOWN';
    case GrpcStatus.RESOURCE_EXHAUSTED:
      return details.includes('larger than') ? 'MESSAGE_TOO_LARGE' : 'OUTCOME_UNKNOWN';
    case GrpcStatus.INTERNAL:
      return details.startsWith('Request message serialization failure') ? 'INTERNAL' : 'OUTCOME_UNKNOWN';
    case GrpcStatus.DEADLINE_EXCEEDED:
      return 'DEADLINE_EXCEEDED';
    case GrpcStatus.UNIMPLEMENTED:
      return 'FOREIGN_NODE';
    case GrpcStatus.INVALID_ARGUMENT:
    case GrpcStatus.UNAUTHENTICATED:
    case GrpcStatus.PERMISSION_DENIED:
      return 'INVALID_ARGUMENT';
    case GrpcStatus.NOT_FOUND:
      return 'NOT_FOUND';
    default:
      // An outcome that is not certain is never called a failure.
      return 'OUTCOME_UNKNOWN';
  }
}

const HINTS: Partial<Record<ErrorCode, string>> = {
  OUTCOME_UNKNOWN: 'the call broke off before an answer came',
  FOREIGN_NODE: 'does not know this call; is it a Flotilla node of this version?',
};

/**
 * The error that a failed call means. Our code in the trailers wins. Without
 * it the status is the transport's: then UNREACHABLE says that nothing was
 * sent, and OUTCOME_UNKNOWN that something may have been.
 */
export function errorFromStatus(failed: FailedCall, options: { sent?: boolean; address?: string } = {}): FlotillaError {
  const told = textOf(failed.metadata, CODE_TRAILER);
  if (told !== undefined && isErrorCode(told)) {
    return new FlotillaError(told, failed.details, { leader: textOf(failed.metadata, LEADER_TRAILER) });
  }
  const where = options.address === undefined ? '' : `${options.address}: `;
  const sent = options.sent ?? mayHaveBeenSent(failed);
  if (!sent)
    return new FlotillaError('UNREACHABLE', `${where}can't be reached: ${plainWords(failed.details)}`, {
      cause: failed,
    });
  const code = codeOfTransport(failed);
  const hint = HINTS[code];
  return new FlotillaError(code, `${where}${hint === undefined ? '' : `${hint}: `}${failed.details}`, {
    cause: failed,
  });
}

/** grpc-js ends some of its sentences with a note on name resolution, which is empty for an address. */
function plainWords(details: string): string {
  return details.replace(/\.? *Resolution note:.*$/s, '');
}

function textOf(metadata: Metadata, key: string): string | undefined {
  const value = metadata.get(key)[0];
  return typeof value === 'string' ? value : undefined;
}
