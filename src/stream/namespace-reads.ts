import type { Glob } from '../event/index.js';
import { GlobReads } from './glob-reads.js';
import { type ListedLog, listNamespaces, type NamespaceListing } from './namespace-list.js';
import { type NamespaceCount, type StreamLog, type Turns, UNDIVIDED } from './ports.js';

/** What a stream's committed records hold, by namespace. */
export class NamespaceReads {
  private readonly log: ListedLog;
  private readonly stored: StreamLog;
  private readonly turns: Turns;

  constructor(log: ListedLog, stored: StreamLog, turns: Turns = UNDIVIDED) {
    this.log = log;
    this.stored = stored;
    this.turns = turns;
  }

  /** A way through the log for one reader. */
  matching(glob: Glob): GlobReads {
    return new GlobReads(this.log.group, this.stored.search(glob, this.turns));
  }

  /** Ascending by bytes. */
  list(listing: NamespaceListing): AsyncGenerator<NamespaceCount> {
    return listNamespaces(this.log, this.stored, listing, this.turns);
  }
}
