import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { assert, FlotillaError, LIMITS, type LogIndex, logIndex, MinHeap } from '../../base/index.js';
import { follows, type LogRecord, type LogTail, tailAfter } from '../../wire/index.js';
import type { Disk, DiskFile } from '../disk/index.js';
import { ByteSink } from './byte-sink.js';
import {
  type DirectoryBlock,
  encodeHeader,
  encodeTop,
  INDEX_HEADER_BYTES,
  type IndexedRun,
  withChecksum,
} from './index-layout.js';
import { type NamespaceRow, RowReader, RowWriter } from './namespace-row.js';
import type { Pace } from './pace.js';
import { Run } from './run.js';

/** A block of the directory ends with the row that exceeds this. */
const BLOCK_BYTES = 4096;

/** A sealed segment, as far as its index needs it. */
export interface IndexedSegment {
  readonly before: LogTail;
  readonly tail: LogTail;
  /** About as many bytes of records are sorted at a time. */
  readonly runBytes: number;
  read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<LogRecord[]>;
}

/**
 * Makes a segment's index, durably: under another name first, so that a crash
 * leaves no index or a whole one. Throws DATA_LOSS where the records can't be
 * read; every other failure is the disk's.
 */
export async function buildIndex(disk: Disk, path: string, segment: IndexedSegment, pace: Pace): Promise<void> {
  const temporary = `${path}.tmp`;
  try {
    await disk.writeFile(temporary, Buffer.alloc(INDEX_HEADER_BYTES));
    const file = await disk.openFile(temporary);
    // Removing a segment waits for this first.
    if (file === undefined) throw new Error(`${temporary} went while it was being written, and not by this node`);
    try {
      const writer = new IndexWriter(file);
      const runs = await gatherRuns(segment, writer, pace);
      await writeDirectory(runs, segment.tail, writer, pace);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    // What was begun may be as large as the segment, and the disk too full for it.
    await disk.remove(temporary);
    throw error;
  }
  await disk.rename(temporary, path);
  await disk.syncDirectory(dirname(path));
}

/** Writes a file from its header on; the header comes last. */
class IndexWriter {
  offset = INDEX_HEADER_BYTES;
  checksum = 0;
  private readonly file: DiskFile;

  constructor(file: DiskFile) {
    this.file = file;
  }

  append(bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return;
    this.file.write(bytes, this.offset);
    this.checksum = crc32(bytes, this.checksum);
    this.offset += bytes.byteLength;
  }

  writeHeader(header: Uint8Array): void {
    this.file.write(header, 0);
  }

  /** Piece by piece: one large fsync at the end would hold up the log's. */
  sync(): Promise<void> {
    return this.file.sync();
  }
}

interface GatheredRun extends IndexedRun {
  readonly rows: Buffer;
}

async function gatherRuns(segment: IndexedSegment, writer: IndexWriter, pace: Pace): Promise<GatheredRun[]> {
  const { before, tail, runBytes } = segment;
  const runs: GatheredRun[] = [];
  let run = new Run(0, before.index, runBytes);
  let firstIndex = logIndex(before.index + 1);
  let last = before;
  const finish = async (): Promise<void> => {
    const { rows, recordBytes } = await run.contents(writer, pace);
    runs.push({ firstIndex, recordBytes, rows: Buffer.from(rows) });
    await writer.sync();
    pace.restart();
    run = new Run(runs.length, before.index, runBytes);
    firstIndex = logIndex(last.index + 1);
  };
  while (last.index < tail.index) {
    const records = await segment.read(logIndex(last.index + 1), tail.index, LIMITS.readChunkBytes);
    assert(
      records.length > 0,
      `record ${last.index + 1} of a segment that ends with ${tail.index} is read, or damaged`,
    );
    for (const record of records) {
      if (!follows(last, record))
        throw new FlotillaError('DATA_LOSS', `record ${record.index} does not continue the one before it`);
      run.add(record);
      last = tailAfter(record);
      if (run.isFull) await finish();
      else if (pace.isDue) await pace.rest();
    }
  }
  if (!run.isEmpty) await finish();
  return runs;
}

async function writeDirectory(
  runs: readonly GatheredRun[],
  tail: LogTail,
  writer: IndexWriter,
  pace: Pace,
): Promise<void> {
  const directoryAt = writer.offset;
  const blocks: DirectoryBlock[] = [];
  const sink = new ByteSink(2 * BLOCK_BYTES);
  const rowWriter = new RowWriter(sink);
  let firstName: Buffer | undefined;
  let rows = 0;
  const endBlock = (): void => {
    if (firstName === undefined) return;
    const block = withChecksum(sink);
    blocks.push({ firstName, offset: writer.offset, length: block.byteLength });
    writer.append(block);
    sink.clear();
    rowWriter.startBlock();
    firstName = undefined;
  };
  for (const row of mergedRows(runs.map((run) => run.rows))) {
    firstName ??= row.name;
    rowWriter.add(row);
    rows++;
    if (sink.length >= BLOCK_BYTES) endBlock();
    if (pace.isDue) await pace.rest();
  }
  endBlock();
  const topAt = writer.offset;
  const top = encodeTop({ runs, blocks });
  writer.append(top);
  const { checksum } = writer;
  writer.writeHeader(encodeHeader({ rows, tail, checksum, directoryAt, topAt, topBytes: top.byteLength }));
}

interface RunCursor {
  readonly run: number;
  readonly reader: RowReader;
  row: NamespaceRow;
}

/** One row per namespace, ascending, of what the runs have of it. */
function* mergedRows(runs: readonly Buffer[]): Generator<NamespaceRow> {
  const cursors = new MinHeap<RunCursor>(
    (left, right) => Buffer.compare(left.row.name, right.row.name) || left.run - right.run,
  );
  for (const [run, rows] of runs.entries()) {
    const reader = new RowReader(rows);
    const row = reader.next();
    if (row !== undefined) cursors.push({ run, reader, row });
  }
  let merged: NamespaceRow | undefined;
  for (let cursor = cursors.pop(); cursor !== undefined; cursor = cursors.pop()) {
    const { row } = cursor;
    if (merged !== undefined && !merged.name.equals(row.name)) {
      yield merged;
      merged = undefined;
    }
    merged = merged === undefined ? row : joined(merged, row);
    const next = cursor.reader.next();
    if (next !== undefined) cursors.push({ ...cursor, row: next });
  }
  if (merged !== undefined) yield merged;
}

function joined(earlier: NamespaceRow, later: NamespaceRow): NamespaceRow {
  return {
    name: earlier.name,
    count: earlier.count + later.count,
    first: earlier.first,
    last: later.last,
    places: Buffer.concat([earlier.places, later.places]),
  };
}
