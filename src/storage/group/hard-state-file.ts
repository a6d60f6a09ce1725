import { actorId, assert, readUint64, term, viewOf, writeUint64 } from '../../base/index.js';
import type { HardState } from '../../raft/index.js';
import { type Disk, TwoSlotFile } from '../disk/index.js';

const PAYLOAD_BYTES = 16;

/**
 * Term and vote of one group. Both slots carry the same state before a promise
 * leaves: with only one of them, a single damaged sector would make the node
 * forget a vote and give another in the same term.
 *
 * The file also holds the number of the node's start that opened it last, so that an older copy of the file, put back,
 * is told from what was there.
 *
 * Payload, little-endian: term (8 bytes), vote (2 bytes, 0 for none), start (4 bytes), 2 bytes 0.
 */
export class HardStateFile {
  private readonly slots: TwoSlotFile;
  private state: HardState;
  private boot: number;

  private constructor(slots: TwoSlotFile, { state, boot }: { state: HardState; boot: number }) {
    this.slots = slots;
    this.state = state;
    this.boot = boot;
  }

  static async create(disk: Disk, path: string, state: HardState): Promise<void> {
    await TwoSlotFile.create(disk, path, encode(state, 0));
  }

  /** Throws DATA_LOSS where the state is not there any more. */
  static async open(disk: Disk, path: string): Promise<HardStateFile> {
    const slots = await TwoSlotFile.open(disk, path);
    const file = new HardStateFile(slots, decodeHardState(slots.recovered));
    try {
      // A crash between the two writes, or damage since, left one copy: make it two again before anything depends on
      // it.
      if (!slots.agreed) await slots.writeBoth(encode(file.state, file.boot));
    } catch (error) {
      await slots.close();
      throw error;
    }
    return file;
  }

  get current(): HardState {
    return this.state;
  }

  /** The start that opened it last; 0 before the first. */
  get lastBoot(): number {
    return this.boot;
  }

  /** Notes the start that has opened it now. Resolves when both copies are durable. */
  async stamp(boot: number): Promise<void> {
    if (boot <= this.boot) return;
    await this.slots.writeBoth(encode(this.state, boot));
    this.boot = boot;
  }

  /** Resolves when both copies are durable. */
  async write(state: HardState): Promise<void> {
    if (state.term === this.state.term && state.vote === this.state.vote) return;
    assert(state.term >= this.state.term, `the term went back from ${this.state.term} to ${state.term}`);
    assert(
      state.term > this.state.term || this.state.vote === undefined,
      `a second vote in term ${state.term}: ${this.state.vote} has it, and ${state.vote ?? 'none'} was to be written`,
    );
    await this.slots.writeBoth(encode(state, this.boot));
    this.state = state;
  }

  async close(): Promise<void> {
    await this.slots.close();
  }
}

function encode(state: HardState, boot: number): Buffer {
  const payload = Buffer.alloc(PAYLOAD_BYTES);
  const view = viewOf(payload);
  writeUint64(view, 0, state.term);
  view.setUint16(8, state.vote ?? 0, true);
  view.setUint32(10, boot, true);
  return payload;
}

/** The inverse of what is written. `boot`: the start that opened it last. */
export function decodeHardState(payload: Uint8Array): { state: HardState; boot: number } {
  const view = viewOf(payload);
  const vote = view.getUint16(8, true);
  const state = { term: term(readUint64(view, 0)), vote: vote === 0 ? undefined : actorId(vote) };
  return { state, boot: view.getUint32(10, true) };
}

/** What is wrong with a hard state that start `boot` opened last, where a later one is known to have opened it. */
export function olderCopyOf(boot: number, stampedBoot = 0): string | undefined {
  if (boot >= stampedBoot) return undefined;
  return (
    `an older copy: it was written before start ${boot + 1} of this node, and start ${stampedBoot} has written to ` +
    'it'
  );
}
