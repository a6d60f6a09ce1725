/**
 * Every failure that leaves a node or the client has one of these codes. The
 * codes are a contract (docs/errors.md lists them; a test holds it to this table).
 */
export const ERRORS = {
  INVALID_ARGUMENT: {
    grpc: 'INVALID_ARGUMENT',
    http: 400,
    exit: 1,
    retryable: false,
    meaning: 'A field is malformed; the message names it and says why.',
  },
  PERMISSION_DENIED: {
    grpc: 'PERMISSION_DENIED',
    http: 403,
    exit: 1,
    retryable: false,
    meaning: 'The caller may not do this; nothing was looked at, and nothing was done.',
  },
  NOT_FOUND: { grpc: 'NOT_FOUND', http: 404, exit: 1, retryable: false, meaning: 'No such stream or event.' },
  POSITION_MISMATCH: {
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
    retryable: false,
    meaning:
      'The position is not one of this stream: its actor does not match its counter, it lies past the end, or it ' +
      'is of another incarnation.',
  },
  POSITION_REMOVED: {
    grpc: 'OUT_OF_RANGE',
    http: 416,
    exit: 1,
    retryable: false,
    meaning: "The position lies below the log's begin; the message has the first id there is.",
  },
  MESSAGE_TOO_LARGE: {
    grpc: 'RESOURCE_EXHAUSTED',
    http: 413,
    exit: 1,
    retryable: false,
    meaning: 'An event, a batch or a message is larger than the limit that the message names.',
  },
  TOO_MANY_REQUESTS: {
    grpc: 'RESOURCE_EXHAUSTED',
    http: 429,
    exit: 1,
    retryable: true,
    meaning: 'A bound on what may wait or be open is reached; nothing was proposed.',
  },
  DISK_NEARLY_FULL: {
    grpc: 'RESOURCE_EXHAUSTED',
    http: 507,
    exit: 1,
    retryable: true,
    meaning:
      'The disk of the leader, or of a majority, is nearly full: no new events are taken until there is space ' +
      'again. Certainly not proposed. Also of a read, or a start, for which a full disk has no space.',
  },
  NO_LEADER: {
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 1,
    retryable: true,
    meaning: 'No leader is known, or it has no majority. Certainly not proposed.',
  },
  NOT_LEADER: {
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 1,
    retryable: true,
    meaning: 'A batch was forwarded to a node that no longer leads. Certainly not proposed.',
  },
  MEMBERSHIP_CHANGING: {
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 1,
    retryable: true,
    meaning: 'Another change of the members, or of the leader, is under way; nothing was changed.',
  },
  QUORUM_AT_RISK: {
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
    retryable: false,
    meaning:
      'The change of the members was refused: too few of the members that would be left can be reached to go on.',
  },
  PRODUCER_EXPIRED: {
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
    retryable: false,
    meaning:
      'The stream does not remember the producer, or not that early a batch of it: nothing was appended now, and ' +
      'whether it was before is not known.',
  },
  PRODUCER_FENCED: {
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
    retryable: false,
    meaning: 'Another has opened the producer under its name since; nothing was appended now.',
  },
  SEQUENCE_GAP: {
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
    retryable: false,
    meaning: "The producer's batch before this one is not in the stream, and so neither is this one.",
  },
  SEQUENCE_REUSED: {
    grpc: 'ALREADY_EXISTS',
    http: 409,
    exit: 1,
    retryable: false,
    meaning: 'The producer has other events in the stream under this sequence; these were not appended.',
  },
  SHUTTING_DOWN: {
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 1,
    retryable: true,
    meaning: 'The node is stopping. Certainly not proposed.',
  },
  NOT_READY: {
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 1,
    retryable: true,
    meaning: 'The cluster is still forming, or the node still catching up. Certainly not proposed.',
  },
  UNREACHABLE: {
    grpc: 'UNAVAILABLE',
    http: 503,
    exit: 3,
    retryable: true,
    meaning: 'Client side: no node could be reached; nothing was sent.',
  },
  OUTCOME_UNKNOWN: {
    grpc: 'UNKNOWN',
    http: 504,
    exit: 4,
    retryable: false,
    uncertain: true,
    meaning:
      'The batch was proposed, or sent, and what became of it is not known: it may have been appended, or may ' +
      'still be.',
  },
  DEADLINE_EXCEEDED: {
    grpc: 'DEADLINE_EXCEEDED',
    http: 504,
    exit: 4,
    retryable: false,
    uncertain: true,
    meaning: 'The deadline passed; a batch that was under way has an unknown outcome.',
  },
  DATA_LOSS: {
    grpc: 'DATA_LOSS',
    http: 500,
    exit: 1,
    retryable: false,
    uncertain: true,
    meaning: "A stored record is damaged; this node's copy is not served.",
  },
  FOREIGN_NODE: {
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
    retryable: false,
    meaning: 'Another cluster, a removed or replaced member, or another format: no state was changed.',
  },
  ROLLED_BACK: {
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
    retryable: false,
    meaning: 'A member came back with older data than it was seen with: it begins anew. No state was changed.',
  },
  UPGRADE_NEEDED: {
    grpc: 'FAILED_PRECONDITION',
    http: 409,
    exit: 1,
    retryable: false,
    meaning:
      'A node runs a version of Flotilla that is too old for this; the message says which. No state was changed.',
  },
  CANCELLED: {
    grpc: 'CANCELLED',
    http: 499,
    exit: 1,
    retryable: false,
    uncertain: true,
    meaning: 'The caller went away.',
  },
  INTERNAL: {
    grpc: 'INTERNAL',
    http: 500,
    exit: 1,
    retryable: false,
    uncertain: true,
    meaning: "A defect of Flotilla's own; the node's log has the details.",
  },
} as const satisfies Record<string, ErrorRow>;

interface ErrorRow {
  /** Name of the gRPC status. */
  readonly grpc: string;
  readonly http: number;
  /** Exit code of the command line. */
  readonly exit: number;
  /** Whether the same call may succeed later and can't have had an effect now. */
  readonly retryable: boolean;
  /**
   * It does not say whether the call had an effect: a read is made again elsewhere, a batch that is sent again may be
   * there.
   */
  readonly uncertain?: true;
  readonly meaning: string;
}

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(ERRORS, value);
}

/** The one error class: what failed, by code, in words that say what to do. */
export class FlotillaError extends Error {
  override readonly name = 'FlotillaError';
  readonly code: ErrorCode;
  /** HOST:PORT of the leader, where the failing side knew it. */
  readonly leader: string | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; leader?: string | undefined } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.leader = options.leader;
  }

  /** Whether the same call may succeed later and certainly had no effect now. */
  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  /** Whether it leaves open that the call had its effect; one without effects may be made again. */
  get uncertain(): boolean {
    const row: ErrorRow = ERRORS[this.code];
    return row.uncertain === true;
  }
}

/** Whatever was thrown, as one of our errors; what is none of them is a defect. */
export function toFlotillaError(error: unknown): FlotillaError {
  return error instanceof FlotillaError ? error : new FlotillaError('INTERNAL', messageOf(error), { cause: error });
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
