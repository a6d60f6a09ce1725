import { FlotillaError } from '../../src/base/index.js';
import type { ProducerStamp } from '../../src/event/index.js';
import type { Proposed } from '../../src/machine/index.js';
import { admissionOf, coreOf, queueOf } from './insides.js';
import type { Planted } from './planted-bug.js';

/** Mistakes in how producers are told what became of their batches. */
export const PLANTED_PRODUCER_BUGS: Readonly<Record<string, Planted>> = {
  /** The batch in its place is in the leader's log, and may never be committed. */
  'a refusal rests on an uncommitted event': {
    foundWith: 4,
    bug: {
      started(stream) {
        const admission = admissionOf(stream);
        const decide = admission.decide.bind(admission);
        const proposed = new Map<string, number>();
        admission.decide = (command, machine) => {
          const decision = decide(command, machine);
          if (command.kind !== 'events') return decision;
          const { stamp, body } = command;
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
      started(stream) {
        const admission = admissionOf(stream);
        const [decide, appended] = [admission.decide.bind(admission), admission.appended.bind(admission)];
        const open = new Map<string, Proposed>();
        const nameOf = ({ producer, sequence }: ProducerStamp): string => `${producer} ${sequence}`;
        admission.appended = (command, index) => {
          appended(command, index);
          const { tail, self: actor, term } = stream.group;
          if (command.kind === 'events')
            open.set(nameOf(command.stamp), { firstCounter: tail.nextCounter, actor, index, term });
        };
        admission.decide = (command, machine) => {
          const decision = decide(command, machine);
          const place = command.kind === 'events' ? open.get(nameOf(command.stamp)) : undefined;
          return decision.kind === 'wait' && place !== undefined ? { kind: 'known', place } : decision;
        };
      },
    },
  },
  /** A new leader goes by the producers as it knows them, and has not applied all that is in its log. */
  'a new leader decides before its no-op is applied': {
    foundWith: 18,
    bug: {
      started(stream) {
        const queue = queueOf(stream);
        const { state } = stream.group;
        const next = queue.next.bind(queue);
        queue.next = () => {
          const real = state.appliedIndex;
          if (real >= (coreOf(stream).noopIndex ?? real)) return next();
          Object.defineProperty(state, 'appliedIndex', { configurable: true, get: () => coreOf(stream).noopIndex });
          try {
            return next();
          } finally {
            Reflect.deleteProperty(state, 'appliedIndex');
          }
        };
      },
    },
  },
  /** What a producer has on its way counts for nothing: a batch that is sent twice at once goes in twice. */
  'producers are known by committed batches only': {
    foundWith: 2,
    bug: {
      started(stream) {
        admissionOf(stream).appended = () => undefined;
      },
    },
  },
};
