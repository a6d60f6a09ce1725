import { FlotillaError, type LogIndex } from '../base/index.js';
import type { Stream } from '../stream/index.js';

/** Up to where a read goes, and whether a majority confirmed that nothing acknowledged before stands behind it. */
export interface CommittedEnd {
  readonly index: LogIndex;
  readonly confirmed: boolean;
}

/**
 * The end of the stream as of now: confirmed where that can be had, else what this node knows. Throws only what is not
 * for want of a leader.
 */
export async function committedEnd(stream: Stream): Promise<CommittedEnd> {
  try {
    return { index: await stream.group.confirmReadIndex(), confirmed: true };
  } catch (error) {
    if (!(error instanceof FlotillaError) || error.code !== 'NO_LEADER') throw error;
    return { index: stream.group.commitIndex, confirmed: false };
  }
}
