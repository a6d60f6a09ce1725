import type { ActorId } from '../../base/index.js';
import { decodeLogBegin, type LogBegin, StreamMachine } from '../../machine/stream/index.js';
import type { ObservedNode } from '../observed-node.js';
import { Violation } from '../violation.js';
import type { CommittedHistory } from './committed-records-stay.js';
import type { Invariant } from './invariant.js';

/**
 * No node lacks a committed event that the log has not given up: a log begins,
 * on disk and for readers, no later than some committed record says; and for
 * readers of a process that runs it never begins earlier than it did.
 */
export function keptEventsStay(history: CommittedHistory): Invariant {
  const property = 'what the log has not given up is there';
  let latest: LogBegin = StreamMachine.initial().begin;
  let seen = 0;
  const firsts = new Map<ActorId, number>();

  const follow = (): void => {
    for (; seen < history.records.length; seen++) {
      const record = history.records[seen];
      if (record?.kind !== 'log-begin') continue;
      const begin = decodeLogBegin(record.payload);
      if (begin.firstCounter > latest.firstCounter) latest = begin;
    }
  };

  const check = ({ actor, stream }: ObservedNode): void => {
    if (stream === undefined) return;
    follow();
    const {
      group: { begin },
      state,
    } = stream;
    if (
      begin.index > latest.index ||
      begin.nextCounter > latest.firstCounter ||
      state.first.firstCounter > latest.firstCounter
    )
      throw new Violation(
        property,
        `the log of ${actor} begins after record ${begin.index}, for readers with event ` +
          `${state.first.firstCounter}; by what is committed it begins with event ${latest.firstCounter}`,
      );
    const before = firsts.get(actor) ?? 0;
    if (state.first.firstCounter < before)
      throw new Violation(
        'the begin of a stream never goes back',
        `that of ${actor} went from ${before} to ${state.first.firstCounter}`,
      );
    firsts.set(actor, state.first.firstCounter);
  };

  return {
    property,
    started(node) {
      firsts.delete(node.actor);
      check(node);
    },
    stepped: check,
  };
}
