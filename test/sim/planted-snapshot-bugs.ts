import { GROUP } from '../../src/sim/process.js';
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
    bug: {
      started(_, storage) {
        const log = storage.group(GROUP);
        const whole = log.checkpointAt.bind(log);
        log.checkpointAt = async (index) => {
          const checkpoint = await whole(index);
          return {
            ...checkpoint,
            membership: { ...checkpoint.membership, voters: checkpoint.membership.voters.slice(1) },
          };
        };
      },
    },
  },
  /** Settings and the log's begin come with the records that set them, and those are not sent. */
  "a snapshot leaves out the stream's state": {
    foundWith: 71,
    bug: {
      started(_, storage) {
        const log = storage.group(GROUP);
        const whole = log.checkpointAt.bind(log);
        log.checkpointAt = async (index) => {
          const checkpoint = await whole(index);
          const { settings: _settings, ...state } = JSON.parse(Buffer.from(checkpoint.state).toString());
          return {
            ...checkpoint,
            state: Buffer.from(JSON.stringify({ ...state, begin: { firstCounter: 1, index: 0 } })),
          };
        };
      },
    },
  },
  /** Whoever got the log as a snapshot knows no producer any more. */
  'a snapshot without the producer table': {
    foundWith: 71,
    bug: {
      started(_, storage) {
        const log = storage.group(GROUP);
        const whole = log.checkpointAt.bind(log);
        log.checkpointAt = async (index) => {
          const checkpoint = await whole(index);
          const { producers: _producers, ...state } = JSON.parse(Buffer.from(checkpoint.state).toString());
          return { ...checkpoint, state: Buffer.from(JSON.stringify(state)) };
        };
      },
    },
  },
};
