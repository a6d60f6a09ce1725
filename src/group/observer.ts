import type { ActorId, FlotillaError } from '../base/index.js';
import type { LogRecord, LogTail } from '../wire/index.js';

/** What a group tells of its work; telemetry counts it. Called on the hot path: must not throw and must be quick. */
export interface GroupObserver {
  roleChanged(role: string, term: number, leader: ActorId | undefined): void;
  campaigned(): void;
  /** A write group reached the disk. */
  persisted(seconds: number, records: number): void;
  /** A batch of this leader was committed. */
  committed(seconds: number): void;
  outcomeUnknown(batches: number): void;
  /** A batch was sent again, and answered with the ids that it has. */
  knownAgain?(): void;
  /** The front of the log could not be given up; it is tried again. */
  cutFailed?(error: FlotillaError): void;
  /**
   * A record entered this node's log, in place of whatever stood at its index and above. For an observer that checks
   * the log: the simulator.
   */
  appended?(record: LogRecord): void;
  /** A snapshot took the log's place, which begins after this. For an observer that checks the log. */
  replaced?(before: LogTail): void;
}
