import type { PlantedBug } from '../../src/sim/index.js';
import { GROUP } from '../../src/sim/process.js';
import type { Checkpoint } from '../../src/wire/index.js';
import type { Planted } from './planted-bug.js';

/** Mistakes in what a snapshot holds, and in how it is taken. */
export const PLANTED_SNAPSHOT_BUGS: Readonly<Record<string, Planted>> = {
  /** The replica goes on from the snapshot, and the log on disk is the one from before. */
  'a snapshot is applied half': {
    foundWith: 71,
    bug: { storing: (requests) => requests.map(({ snapshot: _, ...request }) => request) },
  },
  /**
   * What was true where the log begins is not all in it: the receiver's state is not the one that replay would reach.
   */
  'a snapshot leaves out a part of the state': {
    foundWith: 167,
    bug: withSnapshots((checkpoint) => {
      return {
        ...checkpoint,
        membership: { ...checkpoint.membership, voters: checkpoint.membership.voters.slice(1) },
      };
    }),
  },
  /** Settings and the log's begin come with the records that set them, and those are not sent. */
  "a snapshot leaves out the stream's state": {
    foundWith: 71,
    bug: withSnapshots((checkpoint) => {
      const lineEnd = checkpoint.state.indexOf(0x0a);
      const before = Buffer.from(checkpoint.state.subarray(0, lineEnd)).toString();
      const { settings: _settings, ...state } = JSON.parse(before);
      const line = JSON.stringify({ ...state, begin: { firstCounter: 1, index: 0 } });
      return { ...checkpoint, state: Buffer.concat([Buffer.from(line), checkpoint.state.subarray(lineEnd)]) };
    }),
  },
  /** Whoever got the log as a snapshot knows no producer any more. */
  'a snapshot without the producer table': {
    foundWith: 71,
    bug: withSnapshots((checkpoint) => {
      return { ...checkpoint, state: checkpoint.state.subarray(0, checkpoint.state.indexOf(0x0a) + 1) };
    }),
  },
};

/** What a leader sends, and what a segment begins with, is changed so. */
function withSnapshots(changed: (checkpoint: Checkpoint) => Checkpoint): PlantedBug {
  return {
    started(_, storage) {
      const log = storage.group(GROUP);
      const whole = log.checkpointAt.bind(log);
      log.checkpointAt = async (index) => changed(await whole(index));
    },
  };
}
