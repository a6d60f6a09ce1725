import { assert, type Random } from '../base/index.js';
import type { SimulatedDatabase } from './disk-database.js';

/** Disks write this much at once, or nothing of it. */
const SECTOR_BYTES = 512;

export type Inode = SimulatedFile | SimulatedDirectory | SimulatedDatabase;

/** A file as the operating system sees it, and as much of it as is on the platter. */
export class SimulatedFile {
  readonly kind = 'file';
  content: Buffer;
  private durable: Buffer;
  private unsynced: { readonly position: number; readonly bytes: Uint8Array }[] = [];

  constructor(content: Uint8Array = new Uint8Array()) {
    this.content = Buffer.from(content);
    this.durable = Buffer.alloc(0);
    if (content.byteLength > 0) this.unsynced.push({ position: 0, bytes: this.content });
  }

  get writes(): number {
    return this.unsynced.length;
  }

  write(bytes: Uint8Array, position: number): void {
    this.content = withBytes(this.content, bytes, position);
    this.unsynced.push({ position, bytes: Uint8Array.from(bytes) });
  }

  /** The first `writes` that are not on disk come there. */
  sync(writes = this.unsynced.length): void {
    for (const { position, bytes } of this.unsynced.splice(0, writes))
      this.durable = withBytes(this.durable, bytes, position);
  }

  /**
   * After a failed fsync Linux takes the pages for clean: they are read back until a power cut, and no later fsync
   * writes them.
   */
  syncFailed(): void {
    this.unsynced = [];
  }

  /**
   * A power cut: of what was not synced any sectors are there, and the others are not. True where something is lost.
   */
  loseUnsynced(random: Random): boolean {
    const before = this.content;
    for (const { position, bytes } of this.unsynced) {
      for (let from = 0; from < bytes.byteLength; from += SECTOR_BYTES) {
        if (random() < 0.5)
          this.durable = withBytes(this.durable, bytes.subarray(from, from + SECTOR_BYTES), position + from);
      }
    }
    this.unsynced = [];
    this.content = Buffer.from(this.durable);
    return !before.equals(this.content);
  }

  /** Something else is on the platter than what was written. */
  damage(content: Buffer): void {
    this.content = content;
    this.durable = Buffer.from(content);
    this.unsynced = [];
  }
}

/** Gives `bytes` their place; what lies between the old end and them is 0. Overwrites in place where it fits. */
function withBytes(content: Buffer, bytes: Uint8Array, position: number): Buffer {
  const end = position + bytes.byteLength;
  const target = end > content.byteLength ? Buffer.concat([content, Buffer.alloc(end - content.byteLength)]) : content;
  target.set(bytes, position);
  return target;
}

interface NameChange {
  readonly removed: string | undefined;
  readonly made: { readonly name: string; readonly inode: Inode } | undefined;
}

/** Names, each durable once the directory was synced; until then a power cut may undo the latest of the changes. */
export class SimulatedDirectory {
  readonly kind = 'directory';
  readonly entries = new Map<string, Inode>();
  private readonly durable = new Map<string, Inode>();
  private unsynced: NameChange[] = [];

  get changes(): number {
    return this.unsynced.length;
  }

  make(name: string, inode: Inode): void {
    this.change({ removed: undefined, made: { name, inode } });
  }

  remove(name: string): void {
    if (this.entries.has(name)) this.change({ removed: name, made: undefined });
  }

  rename(from: string, to: string): void {
    const inode = this.entries.get(from);
    assert(inode !== undefined, `there is no ${from}`);
    this.change({ removed: from, made: { name: to, inode } });
  }

  sync(changes = this.unsynced.length): void {
    for (const change of this.unsynced.splice(0, changes)) carryOut(change, this.durable);
  }

  /**
   * A power cut. Journals keep the order of changes, so the latest are lost. True where something is, here or below.
   */
  loseUnsynced(random: Random): boolean {
    const kept = Math.floor(random() * (this.unsynced.length + 1));
    let lost = kept < this.unsynced.length;
    this.sync(kept);
    this.unsynced = [];
    this.entries.clear();
    for (const [name, inode] of this.durable) {
      this.entries.set(name, inode);
      if (inode.loseUnsynced(random)) lost = true;
    }
    return lost;
  }

  private change(change: NameChange): void {
    carryOut(change, this.entries);
    this.unsynced.push(change);
  }
}

function carryOut({ removed, made }: NameChange, names: Map<string, Inode>): void {
  if (removed !== undefined) names.delete(removed);
  if (made !== undefined) names.set(made.name, made.inode);
}
