import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FlotillaError, messageOf, viewOf } from '../../base/index.js';
import { systemCodeOf } from '../disk/index.js';
import { FormatReader, lastIndexUpTo, maskedChecksum } from './format.js';

/** A table that LevelDB reads: what else lies in the directory, it deletes. */
export interface LiveTable {
  readonly path: string;
  readonly level: number;
  readonly bytes: number;
  /** The keys in it, as record indexes. */
  readonly first: number;
  readonly last: number;
}

/**
 * The tables of a database, as its manifest names them (LevelDB's doc/impl.md). Rejects with DATA_LOSS where `CURRENT`
 * or the manifest can't be made out: nothing is known to be sound in a database without a list of its tables.
 */
export async function liveTables(directory: string): Promise<LiveTable[]> {
  const tables = new Map<number, LiveTable>();
  try {
    const current = await readFile(join(directory, 'CURRENT'), 'latin1');
    if (!/^MANIFEST-\d+\n$/.test(current)) throw new RangeError('CURRENT does not name a manifest');
    for (const edit of logRecords(await readFile(join(directory, current.trimEnd()))))
      applyEdit(directory, tables, new FormatReader(edit));
  } catch (error) {
    const code = systemCodeOf(error) ?? '';
    if (!(error instanceof RangeError) && !UNREADABLE.includes(code)) throw error;
    throw new FlotillaError('DATA_LOSS', `${directory} can't be opened: ${messageOf(error)}`, { cause: error });
  }
  return [...tables.values()];
}

/** Codes for a file that is not there, or is no file, or stands on a part of the disk that can't be read. */
const UNREADABLE = ['ENOENT', 'EISDIR', 'EIO'];

const LOG_BLOCK_BYTES = 32 * 1024;
const LOG_HEADER_BYTES = 7;
/** Zeros, up to the end of the block. */
const NONE = 0;
/** All of a record, or its last part; the parts before are 2 and 3. */
const FULL = 1;
const LAST = 4;

/** The records of a file in LevelDB's log format (doc/log_format.md); one that was not finished is none. */
function* logRecords(file: Uint8Array): Generator<Uint8Array> {
  const view = viewOf(file);
  let parts: Uint8Array[] = [];
  for (let at = 0; at + LOG_HEADER_BYTES <= file.byteLength; ) {
    const left = LOG_BLOCK_BYTES - (at % LOG_BLOCK_BYTES);
    const kind = view.getUint8(at + 6);
    if (left < LOG_HEADER_BYTES || kind === NONE) {
      if (file.subarray(at, at + left).some((byte) => byte !== 0))
        throw new RangeError(`there is no record at ${at}, and no end`);
      at += left;
      continue;
    }
    const end = at + LOG_HEADER_BYTES + view.getUint16(at + 4, true);
    if (end > file.byteLength) return;
    if (maskedChecksum(file.subarray(at + 6, end)) !== view.getUint32(at, true))
      throw new RangeError(`the record at ${at} is damaged`);
    parts.push(file.subarray(at + LOG_HEADER_BYTES, end));
    if (kind === FULL || kind === LAST) {
      yield Buffer.concat(parts);
      parts = [];
    }
    at = end;
  }
}

/** Edits are fields behind numbers that say which (db/version_edit.cc). */
function applyEdit(directory: string, tables: Map<number, LiveTable>, edit: FormatReader): void {
  while (!edit.isAtEnd) {
    const field = edit.varint();
    switch (field) {
      case 1: // comparator
        edit.prefixed();
        break;
      case 2: // write-ahead log
      case 3: // next file
      case 4: // last sequence
      case 9: // write-ahead log before that
        edit.varint();
        break;
      case 5: // where the next compaction of a level begins
        edit.varint();
        edit.prefixed();
        break;
      case 6: // deleted table of a level
        edit.varint();
        tables.delete(edit.varint());
        break;
      case 7:
        addTable(directory, tables, edit);
        break;
      default:
        throw new RangeError(`an edit has an unknown field ${field}`);
    }
  }
}

function addTable(directory: string, tables: Map<number, LiveTable>, edit: FormatReader): void {
  const [level, number, bytes] = [edit.varint(), edit.varint(), edit.varint()];
  const [first, last] = [lastIndexUpTo(edit.prefixed()), lastIndexUpTo(edit.prefixed())];
  const path = join(directory, `${String(number).padStart(6, '0')}.ldb`);
  // One that moves to another level is deleted and new in the same edit, deleted first.
  tables.set(number, { path, level, bytes, first, last });
}
