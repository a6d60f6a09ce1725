import type { ActorId } from '../../base/index.js';
import { StreamMachine } from '../../machine/stream/index.js';
import type { ObservedNode } from '../observed-node.js';
import { Violation } from '../violation.js';
import type { CommittedHistory } from './committed-records-stay.js';
import type { Invariant } from './invariant.js';

/**
 * The state that a node has reached, by replay, from a checkpoint or through a
 * snapshot, is the one that the committed records lead to, and nothing else is.
 * So all who have applied as much agree, on where the log begins, too.
 */
export function statesAreEqual(history: CommittedHistory): Invariant {
  const property = 'state reached through a snapshot is that of replay';
  const truth = StreamMachine.initial();
  /** The state by applied index. */
  const states: string[] = [textOf(truth.encode())];

  /** The index at which each node's state was looked at last. */
  const seen = new Map<ActorId, number>();

  const check = ({ actor, stream }: ObservedNode): void => {
    if (stream === undefined) return;
    const { appliedIndex } = stream.state;
    if (seen.get(actor) === appliedIndex) return;
    seen.set(actor, appliedIndex);
    if (appliedIndex > history.records.length)
      throw new Violation(
        property,
        `${actor} has applied record ${appliedIndex}, and ${history.records.length} are committed`,
      );
    for (const record of history.records.slice(states.length - 1)) {
      truth.apply(record);
      states.push(textOf(truth.encode()));
    }
    const state = textOf(stream.state.encode());
    if (state !== states[appliedIndex])
      throw new Violation(
        property,
        `${actor} has applied ${appliedIndex} records, to ${state}; they lead to ${states[appliedIndex]}`,
      );
  };

  return {
    property,
    started(node) {
      seen.delete(node.actor);
      check(node);
    },
    stepped: check,
  };
}

function textOf(state: Uint8Array): string {
  return Buffer.from(state).toString('latin1');
}
