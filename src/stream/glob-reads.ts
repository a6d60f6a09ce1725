import { assert, LIMITS, type LogIndex, logIndex, present } from '../base/index.js';
import type { LogRecord } from '../wire/index.js';
import type { GlobSearch, LogMatches } from './ports.js';

/** Committed records of a log, as a node has them. */
interface ReadableLog {
  readonly commitIndex: LogIndex;
  read(from: LogIndex, to: LogIndex, maxBytes: number): LogRecord[] | Promise<LogRecord[]>;
}

/** What was looked for before it was asked for. */
interface Ahead {
  readonly from: LogIndex;
  readonly through: LogIndex;
  readonly found: Promise<LogMatches | undefined>;
}

/**
 * One reader's way through a log for what matches a glob: by the index where
 * there is one, else by the records. From the second step on the index is asked
 * for the step behind it, too, while the reader still takes this one.
 */
export class GlobReads {
  private readonly log: ReadableLog;
  private readonly search: GlobSearch;
  private expected: LogIndex | undefined;
  private ahead: Ahead | undefined;

  constructor(log: ReadableLog, search: GlobSearch) {
    this.log = log;
    this.search = search;
  }

  /**
   * What matches from `from` on, as far as one read goes. `from` must be committed; POSITION_REMOVED where it was given
   * up.
   */
  async next(from: LogIndex, to: LogIndex): Promise<LogMatches> {
    const through = logIndex(Math.min(to, this.log.commitIndex));
    const found = await this.find(from, through);
    if (found === undefined) {
      const records = await this.log.read(from, through, LIMITS.readChunkBytes);
      return { kind: 'records', records, through: present(records.at(-1), 'a read returns at least one record').index };
    }
    assert(
      found.through >= from && found.through <= through,
      `what matches was looked for from record ${from} through ${through}, ` +
        `and the index answered through ${found.through}`,
    );
    const behind = logIndex(found.through + 1);
    if (from === this.expected && behind <= through) this.lookAhead(behind, through);
    this.expected = behind;
    return found;
  }

  /** Gives up what was looked for ahead: it is not taken for now. */
  async forget(): Promise<void> {
    const { ahead } = this;
    this.ahead = undefined;
    this.expected = undefined;
    await ahead?.found.catch(() => undefined);
  }

  private async find(from: LogIndex, through: LogIndex): Promise<LogMatches | undefined> {
    const { ahead } = this;
    this.ahead = undefined;
    if (ahead?.from === from && ahead.through === through) return ahead.found;
    // A search takes one step at a time; what became of this one no longer matters.
    if (ahead !== undefined) await ahead.found.catch(() => undefined);
    return this.search.next(from, through);
  }

  private lookAhead(from: LogIndex, through: LogIndex): void {
    const found = this.search.next(from, through);
    // The next step meets the failure, if there is one.
    found.catch(() => undefined);
    this.ahead = { from, through, found };
  }
}
