import { assert, FlotillaError, LIMITS, type LogIndex, logIndex } from '../base/index.js';
import type { Stream } from '../stream/index.js';
import type { LogRecord } from '../wire/index.js';

/** So many records are asked for at first: what the newest few events need is read at once. */
const FIRST_WINDOW = 16;

/**
 * The records of a range, newest first. The log is read forward, a window at a
 * time that ends where the one before it began. It grows while what it held
 * was far smaller than a chunk, and shrinks where it does not fit into one, so
 * neither many small records nor a few large ones cost much memory.
 */
export async function* backwardRecords(
  stream: Stream,
  range: { readonly first: LogIndex; readonly last: LogIndex },
  signal: AbortSignal,
): AsyncGenerator<LogRecord, void, undefined> {
  let size = FIRST_WINDOW;
  for (let to = range.last; to >= Math.max(range.first, stream.group.begin.index + 1); ) {
    if (signal.aborted) throw new FlotillaError('CANCELLED', 'the reader is gone');
    const from = logIndex(Math.max(range.first, stream.group.begin.index + 1, to - size + 1));
    const window = await readWindow(stream, from, to).catch((error: unknown) => withoutDamage(error, from, to));
    if (window === undefined) {
      // A single record that is still there is always had: asking for it again and again would go on for ever.
      assert(
        from < to || to <= stream.group.begin.index,
        `record ${to} could not be read alone, and the log begins after ${stream.group.begin.index}`,
      );
      size = Math.max(1, Math.floor(size / 4));
      continue;
    }
    yield* window.records.reverse();
    to = logIndex(from - 1);
    if (window.bytes < LIMITS.readChunkBytes / 4) size *= 2;
  }
}

/** What is newer than the damage is served: smaller windows part it from that. */
function withoutDamage(error: unknown, from: LogIndex, to: LogIndex): undefined {
  if (from < to && error instanceof FlotillaError && error.code === 'DATA_LOSS') return undefined;
  throw error;
}

/** None where they were given up while they were read. */
async function readKept(stream: Stream, from: LogIndex, to: LogIndex, maxBytes: number): Promise<LogRecord[]> {
  try {
    return await stream.group.read(from, to, maxBytes);
  } catch (error) {
    if (error instanceof FlotillaError && error.code === 'POSITION_REMOVED') return [];
    throw error;
  }
}

/**
 * All records from `from` to `to`; undefined where several do not fit into one chunk, or the oldest were given up
 * meanwhile.
 */
async function readWindow(
  stream: Stream,
  from: LogIndex,
  to: LogIndex,
): Promise<{ records: LogRecord[]; bytes: number } | undefined> {
  const records: LogRecord[] = [];
  let bytes = 0;
  // Where the window is partly in memory, it takes two reads.
  for (let next = from; next <= to; next = logIndex(next + 1)) {
    if (bytes >= LIMITS.readChunkBytes) return undefined;
    if (next <= stream.group.begin.index) return undefined;
    for (const record of await readKept(stream, next, to, LIMITS.readChunkBytes - bytes)) {
      records.push(record);
      bytes += record.bytes.byteLength;
      next = record.index;
    }
  }
  return { records, bytes };
}
