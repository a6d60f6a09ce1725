import type { ErrorCode, FlotillaError } from '../base/index.js';
import type { Logger } from '../group/index.js';

/** What is said to a node that does not belong here. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['FOREIGN_NODE', 'ROLLED_BACK', 'UPGRADE_NEEDED']);

/** Refusals that were logged and are not logged again. */
const REMEMBERED = 256;

/** Logs each refusal once: a node that does not belong here knocks several times a second. */
export class Refusals {
  private readonly logger: Logger;
  private readonly seen = new Set<string>();

  constructor(logger: Logger) {
    this.logger = logger;
  }

  /** False, and nothing logged, where `error` is no refusal. */
  log(what: string, error: FlotillaError): boolean {
    if (!REFUSALS.has(error.code)) return false;
    if (!this.seen.has(error.message) && this.seen.size < REMEMBERED) {
      this.seen.add(error.message);
      this.logger.error({ error }, what);
    }
    return true;
  }
}
