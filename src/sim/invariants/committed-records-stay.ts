import type { ActorId, Term } from '../../base/index.js';
import { isQuorum } from '../../raft/index.js';
import type { LogRecord } from '../../wire/index.js';
import type { ObservedNode } from '../observed-node.js';
import { Violation } from '../violation.js';
import type { Invariant } from './invariant.js';

/** The one history of all committed records, as it comes about. The record of index i stands at i - 1. */
export class CommittedHistory {
  readonly records: LogRecord[] = [];
  /** The term in which each was first called committed; never decreases. */
  readonly terms: Term[] = [];
  private readonly onCommitted: (record: LogRecord) => void;

  constructor(onCommitted: (record: LogRecord) => void) {
    this.onCommitted = onCommitted;
  }

  add(record: LogRecord, term: Term): void {
    this.records.push(record);
    this.terms.push(term);
    this.onCommitted(record);
  }
}

/**
 * State machine safety (dissertation, figure 3.2): all commit the same record at
 * an index, none writes over it, and whoever calls it committed first is right:
 * it is on the disks of a quorum of its configuration, and under a leader it is
 * of the leader's own term (section 3.6.2).
 */
export function committedRecordsStay(history: CommittedHistory): Invariant {
  const property = 'committed records stay';
  const seen = new Map<ActorId, number>();

  const follow = (node: ObservedNode, through: number, nodes: ReadonlyMap<ActorId, ObservedNode> | undefined): void => {
    const before = seen.get(node.actor) ?? 0;
    if (through < before)
      throw new Violation(property, `the commit index of ${node.actor} went from ${before} to ${through}`);
    for (let index = before + 1; index <= through; index++) {
      const record = node.records[index - 1];
      const committed = history.records[index - 1];
      if (record === undefined)
        throw new Violation(
          property,
          `${node.actor} has committed ${index}, and its log ends at ${node.records.length}`,
        );
      if (committed === undefined) {
        if (nodes !== undefined) requireDurable(node, record, nodes);
        history.add(record, node.stream?.group.term ?? record.term);
      } else if (committed.checksum !== record.checksum) {
        throw new Violation(
          property,
          `${node.actor} has committed ${describe(record)}; before that another ${describe(committed)} was`,
        );
      }
    }
    seen.set(node.actor, through);
  };

  return {
    property,
    started(node) {
      seen.set(node.actor, 0);
      follow(node, node.stream?.group.commitIndex ?? 0, undefined);
    },
    stepped(node, nodes) {
      const { stream, actor } = node;
      if (stream === undefined) return;
      const before = seen.get(actor) ?? 0;
      if (node.changedFrom <= before)
        throw new Violation(
          property,
          `${actor} wrote over record ${node.changedFrom}, and ${before} is committed there`,
        );
      if (stream.group.commitIndex === before) return;
      const news = stream.group.commitIndex > history.records.length;
      follow(node, stream.group.commitIndex, nodes);
      const last = node.records[stream.group.commitIndex - 1];
      if (news && stream.group.role === 'leader' && last?.term !== stream.group.term)
        throw new Violation(
          'a leader counts only records of its own term',
          `${actor} leads term ${stream.group.term} and has committed record ${last?.index} of term ${last?.term}`,
        );
    },
  };
}

function requireDurable(node: ObservedNode, record: LogRecord, nodes: ReadonlyMap<ActorId, ObservedNode>): void {
  const holds = (actor: ActorId): boolean => nodes.get(actor)?.stored[record.index - 1]?.checksum === record.checksum;
  if (isQuorum(node.configurationBefore, holds)) return;
  const holders = [...nodes.keys()].filter(holds);
  const { voters, outgoing } = node.configurationBefore;
  throw new Violation(
    'committed is durable on a majority',
    `${node.actor} has committed ${describe(record)}, which is on the disks of [${holders}] of [${voters}] ` +
      `and [${outgoing}]`,
  );
}

function describe({ index, term }: LogRecord): string {
  return `record ${index} of term ${term}`;
}
