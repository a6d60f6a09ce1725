import { AssertionFailure, FlotillaError, type LogIndex } from '../../base/index.js';
import type { Glob } from '../../event/index.js';
import type { GlobSearch, LogMatches, Turns } from '../../stream/index.js';
import { type IndexFile, MatchSearch, type NamespaceIndexer, type SegmentMatch } from '../namespace-index/index.js';
import type { Segment } from '../segment/index.js';

/** What a search needs of the log that it goes through; see SegmentedLog. */
interface SearchedLog {
  inSealed<Result>(
    from: LogIndex,
    through: LogIndex,
    action: (segment: Segment) => Promise<Result | undefined>,
  ): Promise<Result | undefined>;
  warmFollowing(segment: Segment): void;
}

/**
 * Goes through a log by the namespace indexes of its sealed segments. It remembers where the matching events are, for
 * one segment at a time.
 *
 * An index is believed only where everything that it knows of is committed: what a new leader replaces is never in it
 * then. Going through a log from its end would need only the runs in reverse.
 */
export class IndexSearch implements GlobSearch {
  private readonly log: SearchedLog;
  private readonly glob: Glob;
  private readonly indexer: NamespaceIndexer | undefined;
  private readonly turns: Turns;
  /** Under way. */
  private searching: { readonly segment: Segment; readonly search: MatchSearch } | undefined;
  private found: { readonly segment: Segment; readonly match: SegmentMatch } | undefined;
  /** No index of it is of use. */
  private useless: Segment | undefined;

  constructor(log: SearchedLog, glob: Glob, options: { indexer: NamespaceIndexer | undefined; turns: Turns }) {
    this.log = log;
    this.glob = glob;
    this.indexer = options.indexer;
    this.turns = options.turns;
  }

  async next(from: LogIndex, through: LogIndex): Promise<LogMatches | undefined> {
    if (this.glob.literalPrefix === '') return undefined;
    // Removing a segment waits for the actions on it, so none of these waits for the turns of other readers.
    for (;;) {
      const matches = await this.log.inSealed(from, through, (segment) => this.search(segment, from));
      if (matches !== 'unfinished') return matches;
      await this.turns.next();
    }
  }

  private async search(segment: Segment, from: LogIndex): Promise<LogMatches | 'unfinished' | undefined> {
    if (segment === this.useless) return undefined;
    try {
      const { found } = this;
      const matches =
        found?.segment === segment
          ? await found.match.read(from, segment, (action) => segment.namespaces.using(action))
          : await segment.namespaces.using((file) => this.searchFirst(segment, from, file));
      if (matches !== undefined) return matches;
    } catch (error) {
      if (error instanceof AssertionFailure) throw error;
      // The records say what is in them; where they are what is damaged, reading them without an index tells so.
      if (error instanceof FlotillaError && error.code !== 'DATA_LOSS') throw error;
      this.found = undefined;
      this.searching = undefined;
      segment.namespaces.noteDamage();
    }
    if (segment.namespaces.isMissing) this.indexer?.want(segment);
    return undefined;
  }

  private async searchFirst(
    segment: Segment,
    from: LogIndex,
    file: IndexFile,
  ): Promise<LogMatches | 'unfinished' | undefined> {
    if (this.searching?.segment !== segment)
      this.searching = { segment, search: new MatchSearch(segment, this.glob, this.turns) };
    const { search } = this.searching;
    const match = await search.goOn(file);
    if (!search.hasEnded) return 'unfinished';
    this.searching = undefined;
    this.found = match && { segment, match };
    if (match === undefined) this.useless = segment;
    // What matches here may match behind it, too, and to open LevelDB takes longer than all of this.
    if (match?.needsRecords === true) this.log.warmFollowing(segment);
    return match?.read(from, segment, (action) => action(file));
  }
}
