import { LIMITS, type LogIndex, logIndex, present } from '../base/index.js';
import type { LogRecord } from '../wire/index.js';
import type { GlobSearch, LogMatches } from './ports.js';

/** Committed records of a log, as a replica has them. */
interface ReadableLog {
  readonly commitIndex: LogIndex;
  read(from: LogIndex, to: LogIndex, maxBytes: number): LogRecord[] | Promise<LogRecord[]>;
}

/** One reader's way through a log for what matches a glob: by the index where there is one, else by the records. */
export class GlobReads {
  private readonly log: ReadableLog;
  private readonly search: GlobSearch;

  constructor(log: ReadableLog, search: GlobSearch) {
    this.log = log;
    this.search = search;
  }

  /** What matches from `from` on, as far as one read goes. `from` must be committed; POSITION_REMOVED where it was given up. */
  async next(from: LogIndex, to: LogIndex): Promise<LogMatches> {
    const through = logIndex(Math.min(to, this.log.commitIndex));
    const found = await this.search.next(from, through);
    if (found !== undefined) return found;
    const records = await this.log.read(from, through, LIMITS.readChunkBytes);
    return { kind: 'records', records, through: present(records.at(-1), 'a read returns at least one record').index };
  }
}
