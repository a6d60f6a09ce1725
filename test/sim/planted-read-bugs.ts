import { assert, logIndex } from '../../src/base/index.js';
import { GROUP } from '../../src/sim/process.js';
import { GroupStore } from '../../src/storage/group/group-store.js';
import type { LevelStorage } from '../../src/storage/index.js';
import { SegmentList } from '../../src/storage/log/segment-list.js';
import { SegmentedLog } from '../../src/storage/log/segmented-log.js';
import type { Planted } from './planted-bug.js';

/** Mistakes in how consumers find what a glob matches. */
export const PLANTED_READ_BUGS: Readonly<Record<string, Planted>> = {
  /**
   * Between the seal of a segment and the begin of the next one the youngest is a sealed one; its index was asked for
   * what lies behind it, answered "nothing, up to my end", and the reader went round for ever.
   */
  'the index of a sealed segment answers for what is not stored yet': {
    foundWith: 70,
    bug: {
      started(_, storage) {
        const { log, segments } = logOf(storage);
        const inSealed = log.inSealed.bind(log);
        log.inSealed = (from, through, action) =>
          inSealed(logIndex(Math.min(from, segments.youngest.tail.index)), through, action);
      },
    },
  },
  /** The same, where nothing but the reader itself can notice. */
  'a search goes back': {
    foundWith: 1,
    bug: {
      started(stream) {
        const byNamespace = stream.byNamespace.bind(stream);
        Object.assign(stream, {
          byNamespace: () => {
            const reads = byNamespace();
            const matching = reads.matching.bind(reads);
            reads.matching = (glob) => {
              const way = matching(glob);
              const next = way.next.bind(way);
              way.next = async (from, to) =>
                from > stream.state.appliedIndex
                  ? { kind: 'records', records: [], through: logIndex(from - 1) }
                  : await next(from, to);
              return way;
            };
            return reads;
          },
        });
      },
    },
  },
};

function logOf(storage: LevelStorage): { log: SegmentedLog; segments: SegmentList } {
  const store = storage.group(GROUP);
  assert(store instanceof GroupStore, 'the storage keeps a group in a store');
  const log: unknown = Reflect.get(store, 'log');
  assert(log instanceof SegmentedLog, 'a store keeps its records in `log`');
  const segments: unknown = Reflect.get(log, 'segments');
  assert(segments instanceof SegmentList, 'a log keeps its segments in `segments`');
  return { log, segments };
}
