import { type LogIndex, logIndex } from '../../src/base/index.js';
import { committedIndex, isJoint, leaveJoint, type PlacedConfiguration } from '../../src/raft/index.js';
import { appendConfiguration } from '../../src/raft/leader.js';
import type { CoreNode, PlantedFault } from '../raft/core-node.js';

/** Well-known ways to get Raft wrong. Each must be found by the simulation. */
export const PLANTED_FAULTS: Readonly<Record<string, PlantedFault>> = {
  /** Section 3.6.2, figure 3.7: the rule that a leader counts only entries of its own term is left out. */
  'an old term is committed by counting': {
    afterInput(node) {
      const { core } = node;
      const match = core.matchIndexes();
      if (match === undefined) return;
      commit(
        node,
        committedIndex(core.configuration, (actor) => (actor === node.self ? core.durableIndex : (match.get(actor) ?? logIndex(0)))),
      );
    },
  },
  'the vote is not persisted': {
    storing: ({ term }) => ({ term, vote: undefined }),
  },
  'the vote leaves before it is durable': {
    started({ server }) {
      server.durability.hold = (outbound) => outbound;
    },
  },
  'entries are acknowledged before they are durable': {
    started({ server }) {
      Object.defineProperty(server.durability, 'durableIndex', { get: () => server.log.lastIndex, set: () => undefined });
    },
  },
  /** A late, duplicated append cuts off what came after it. */
  'every append truncates': {
    beforeStep({ server, entries }, { message }) {
      if (message.type !== 'append' || message.term < server.term || server.role.name === 'leader') return;
      if (!server.log.matches(message.previousIndex, message.previousTerm)) return;
      const last = logIndex(Math.min(server.log.lastIndex, message.previousIndex + message.entries.length));
      server.log.truncateAfter(last);
      server.durability.truncatedAfter(last);
      entries.length = last;
    },
  },
  /** A follower acknowledges the end of its log, matched or not. */
  'matchIndex is taken from the last index': {
    sending({ core }, packet) {
      const { message } = packet;
      if (message.type !== 'append-result' || !message.accepted) return packet;
      return { ...packet, message: { ...message, index: core.durableIndex } };
    },
  },
  'a heartbeat commits more than the follower is known to hold': {
    sending({ core }, packet) {
      const { message } = packet;
      return message.type === 'heartbeat' ? { ...packet, message: { ...message, commitIndex: core.commitIndex } } : packet;
    },
    beforeStep({ server, entries }, { message }) {
      // The receiver trusts it, as far as its log goes.
      if (message.type !== 'heartbeat' || message.term < server.term || server.role.name === 'leader') return;
      Object.assign(message, { commitIndex: Math.min(message.commitIndex, entries.length) });
    },
  },
  /** Section 4.1: a leader takes the configuration that it has inherited for committed. */
  'the members change before an entry of the own term is committed': {
    afterInput(node) {
      goOnAsIfCommitted(node, ({ index }, noopIndex) => index < noopIndex);
    },
  },
  /** A joint configuration is left, and the next change begun, before it is committed. */
  'two changes of the members at once': {
    afterInput(node) {
      goOnAsIfCommitted(node, () => true);
    },
  },
  'a learner is counted': {
    afterInput(node) {
      const { core } = node;
      const match = core.matchIndexes();
      if (match === undefined) return;
      const { voters, learners } = core.configuration;
      const index = committedIndex({ voters: [...voters, ...learners], outgoing: [], learners: [] }, (actor) =>
        actor === node.self ? core.durableIndex : (match.get(actor) ?? logIndex(0)),
      );
      if (core.termAt(index) === core.term) commit(node, index);
    },
  },
  /** Section 4.3: the voters before have no say any more. */
  'a joint configuration asks only the new half': {
    afterInput(node) {
      const { core } = node;
      const match = core.matchIndexes();
      if (match === undefined) return;
      const index = committedIndex({ ...core.configuration, outgoing: [] }, (actor) =>
        actor === node.self ? core.durableIndex : (match.get(actor) ?? logIndex(0)),
      );
      if (core.termAt(index) === core.term) commit(node, index);
    },
  },
  /** The log begins where the snapshot ends, and the state is the one from before. */
  'a snapshot is applied half': {
    storingSnapshot(disk, snapshot) {
      const last = snapshot.at(-1);
      if (last === undefined) return;
      disk.begin = { index: last.index, term: last.term };
      for (const entry of snapshot.slice(disk.entries.length)) disk.entries.push(entry);
    },
  },
  'a log that is behind gets the vote': {
    started({ server }) {
      server.log.isUpToDate = () => true;
    },
  },
  /** Section 6.4, first step: a new leader does not know yet what is committed. */
  'reads are answered before the no-op is committed': {
    afterInput({ server }) {
      if (server.role.name === 'leader') Object.assign(server.role, { noopIndex: logIndex(0) });
    },
  },
  /** Section 6.4, second step: another may have been elected meanwhile. */
  'a leader answers reads without asking a majority': {
    reading(node, requestId) {
      if (!node.core.leadsWithCommit) return false;
      node.reads.push({ requestId, index: node.core.commitIndex });
      return true;
    },
  },
};

/** Leaves a joint configuration that is not committed, where `hasty` says so. */
function goOnAsIfCommitted({ core, server }: CoreNode, hasty: (latest: PlacedConfiguration, noopIndex: LogIndex) => boolean): void {
  const { role, configurations } = server;
  const { latest } = configurations;
  if (core.role !== 'leader' || role.name !== 'leader' || !isJoint(latest.configuration) || !hasty(latest, role.noopIndex)) return;
  appendConfiguration(server, role, leaveJoint(latest.configuration));
}

function commit({ server }: CoreNode, index: LogIndex): void {
  if (index > server.commitIndex) server.commitIndex = index;
}
