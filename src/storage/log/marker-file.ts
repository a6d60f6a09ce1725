import { type LogIndex, logIndex, readUint64, type Term, term, viewOf, writeUint64 } from '../../base/index.js';
import { type Disk, TwoSlotFile } from '../disk/index.js';

const PAYLOAD_BYTES = 48;

/**
 * What the log is known to hold, noted outside of the log: LevelDB may open
 * cleanly with fewer records than were acknowledged, and only this tells.
 */
export interface Marker {
  /** The log holds a record of this index … */
  readonly index: LogIndex;
  /** … of this term … */
  readonly term: Term;
  /** … with this checksum, which is chained through everything before it. */
  readonly checksum: number;
  /** Known to be committed; not above `index`. */
  readonly commitIndex: LogIndex;
  /** The log begins after this index: 0 until something is dropped from its front. */
  readonly beginIndex: LogIndex;
  /** The greatest segment sequence ever used, so that none is used again. */
  readonly lastSequence: number;
}

/**
 * The marker of one group: never ahead of the log. It is handed to the operating
 * system with every write, so it is exact however the process ends; a power cut
 * may take it back by what was written since its last fsync.
 *
 * Payload, little-endian: index (8), term (8), commit index (8), begin index (8), last sequence (8),
 * checksum (4), 4 bytes 0.
 */
export class MarkerFile {
  private readonly slots: TwoSlotFile;
  private marker: Marker;

  private constructor(slots: TwoSlotFile, marker: Marker) {
    this.slots = slots;
    this.marker = marker;
  }

  static async create(disk: Disk, path: string, marker: Marker): Promise<void> {
    await TwoSlotFile.create(disk, path, encode(marker));
  }

  /** Throws DATA_LOSS where no marker can be read. */
  static async open(disk: Disk, path: string): Promise<MarkerFile> {
    const slots = await TwoSlotFile.open(disk, path);
    return new MarkerFile(slots, decodeMarker(slots.recovered));
  }

  get current(): Marker {
    return this.marker;
  }

  /**
   * Only after the record at `marker.index` is durable. Outlives this process at once, a power cut with the next {@link
   * sync}.
   */
  note(marker: Marker): void {
    this.marker = marker;
    this.slots.note(encode(marker));
  }

  /** Resolves when what was noted before is on disk. */
  async sync(): Promise<void> {
    await this.slots.sync();
  }

  /** Whether everything noted is on disk. */
  get isSynced(): boolean {
    return this.slots.isSynced;
  }

  /** {@link note} and {@link sync}. */
  async advance(marker: Marker): Promise<void> {
    this.marker = marker;
    await this.slots.writeOlder(encode(marker));
  }

  /**
   * Called before records above `marker.index` are removed. Writes both slots: with only one, damage to it would make
   * the truncated log look too short.
   */
  async lower(marker: Marker): Promise<void> {
    this.marker = marker;
    await this.slots.writeBoth(encode(marker));
  }

  async close(): Promise<void> {
    await this.slots.close();
  }
}

function encode(marker: Marker): Buffer {
  const payload = Buffer.alloc(PAYLOAD_BYTES);
  const view = viewOf(payload);
  writeUint64(view, 0, marker.index);
  writeUint64(view, 8, marker.term);
  writeUint64(view, 16, marker.commitIndex);
  writeUint64(view, 24, marker.beginIndex);
  writeUint64(view, 32, marker.lastSequence);
  view.setUint32(40, marker.checksum, true);
  return payload;
}

/** The inverse of what is written. */
export function decodeMarker(payload: Uint8Array): Marker {
  const view = viewOf(payload);
  return {
    index: logIndex(readUint64(view, 0)),
    term: term(readUint64(view, 8)),
    commitIndex: logIndex(readUint64(view, 16)),
    beginIndex: logIndex(readUint64(view, 24)),
    lastSequence: readUint64(view, 32),
    checksum: view.getUint32(40, true),
  };
}
