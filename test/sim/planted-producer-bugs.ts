import { FlotillaError } from '../../src/base/index.js';
import type { ProducerStamp } from '../../src/event/index.js';
import type { KnownBatch } from '../../src/machine/index.js';
import { coreOf, deskOf } from './insides.js';
import type { Planted } from './planted-bug.js';

/** Mistakes in how producers are told what became of their batches. */
export const PLANTED_PRODUCER_BUGS: Readonly<Record<string, Planted>> = {
  /** The batch in its place is in the leader's log, and may never be committed. */
  'a refusal rests on an uncommitted event': {
    foundWith: 4,
    bug: {
      started(replica) {
        const desk = deskOf(replica);
        const decide = desk.decide.bind(desk);
        const proposed = new Map<string, number>();
        desk.decide = (stamp, body) => {
          const decision = decide(stamp, body);
          const place = `${stamp.producer} ${stamp.sequence}`;
          if (decision.kind === 'append') proposed.set(place, body.checksum);
          const there = proposed.get(place);
          if (decision.kind !== 'wait' || there === undefined || there === body.checksum) return decision;
          return {
            kind: 'refuse',
            error: new FlotillaError('SEQUENCE_REUSED', 'other events have this sequence'),
            isCertain: true,
          };
        };
      },
    },
  },
  /** The first attempt is in the leader's log, and may never be committed. */
  'a duplicate is acknowledged before its first attempt is committed': {
    foundWith: 4,
    bug: {
      started(replica) {
        const desk = deskOf(replica);
        const [decide, appended] = [desk.decide.bind(desk), desk.appended.bind(desk)];
        const open = new Map<string, KnownBatch>();
        const nameOf = ({ producer, sequence }: ProducerStamp): string => `${producer} ${sequence}`;
        desk.appended = (stamp, index) => {
          appended(stamp, index);
          const place = {
            count: 1,
            firstCounter: replica.tail.nextCounter,
            actor: replica.self,
            index,
            term: replica.term,
          };
          open.set(nameOf(stamp), { ...place, bodyLength: 0, bodyChecksum: 0 });
        };
        desk.decide = (stamp, body) => {
          const decision = decide(stamp, body);
          const batch = open.get(nameOf(stamp));
          return decision.kind === 'wait' && batch !== undefined ? { kind: 'known', batch } : decision;
        };
      },
    },
  },
  /** A new leader goes by the producers as it knows them, and has not applied all that is in its log. */
  'a new leader decides before its no-op is applied': {
    foundWith: 18,
    bug: {
      started(replica) {
        const desk = deskOf(replica);
        const decide = desk.decide.bind(desk);
        const { stream } = replica;
        desk.decide = (stamp, body) => {
          const real = stream.appliedIndex;
          if (real >= (coreOf(replica).noopIndex ?? real)) return decide(stamp, body);
          Object.defineProperty(stream, 'appliedIndex', { configurable: true, get: () => coreOf(replica).noopIndex });
          try {
            return decide(stamp, body);
          } finally {
            Reflect.deleteProperty(stream, 'appliedIndex');
          }
        };
      },
    },
  },
  /** What a producer has on its way counts for nothing: a batch that is sent twice at once goes in twice. */
  'producers are known by committed batches only': {
    foundWith: 2,
    bug: {
      started(replica) {
        deskOf(replica).appended = () => undefined;
      },
    },
  },
};
