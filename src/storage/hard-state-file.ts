import { actorId, assert, readUint64, term, viewOf, writeUint64 } from '../base/index.js';
import type { HardState } from '../raft/index.js';
import type { Disk } from './disk.js';
import { TwoSlotFile } from './two-slot-file.js';

const PAYLOAD_BYTES = 16;

/**
 * Term and vote of one group. Both slots carry the same state before a promise
 * leaves: with only one of them, a single damaged sector would make the node
 * forget a vote and give another in the same term.
 *
 * Payload, little-endian: term (8 bytes), vote (2 bytes, 0 for none), 6 bytes 0.
 */
export class HardStateFile {
  private readonly slots: TwoSlotFile;
  private state: HardState;

  private constructor(slots: TwoSlotFile, state: HardState) {
    this.slots = slots;
    this.state = state;
  }

  static async create(disk: Disk, path: string, state: HardState): Promise<void> {
    await TwoSlotFile.create(disk, path, encode(state));
  }

  /** Throws DATA_LOSS where the state is not there any more. */
  static async open(disk: Disk, path: string): Promise<HardStateFile> {
    const slots = await TwoSlotFile.open(disk, path);
    const file = new HardStateFile(slots, decodeHardState(slots.recovered));
    try {
      // A crash between the two writes, or damage since, left one copy: make it two again before anything rests on it.
      if (!slots.agreed) await slots.writeBoth(encode(file.state));
    } catch (error) {
      await slots.close();
      throw error;
    }
    return file;
  }

  get current(): HardState {
    return this.state;
  }

  /** Resolves when both copies are durable. */
  async write(state: HardState): Promise<void> {
    if (state.term === this.state.term && state.vote === this.state.vote) return;
    assert(state.term >= this.state.term, `the term went back from ${this.state.term} to ${state.term}`);
    assert(
      state.term > this.state.term || this.state.vote === undefined,
      `a second vote in term ${state.term}: ${this.state.vote} has it, and ${state.vote ?? 'none'} was to be written`,
    );
    await this.slots.writeBoth(encode(state));
    this.state = state;
  }

  async close(): Promise<void> {
    await this.slots.close();
  }
}

function encode(state: HardState): Buffer {
  const payload = Buffer.alloc(PAYLOAD_BYTES);
  const view = viewOf(payload);
  writeUint64(view, 0, state.term);
  view.setUint16(8, state.vote ?? 0, true);
  return payload;
}

/** The inverse of what is written. */
export function decodeHardState(payload: Uint8Array): HardState {
  const view = viewOf(payload);
  const vote = view.getUint16(8, true);
  return { term: term(readUint64(view, 0)), vote: vote === 0 ? undefined : actorId(vote) };
}
