import assert from 'node:assert/strict';
import { admissionOf, commit, coreOf, goOnAsIfCommitted, markEarly, partsOf, serverOf, utcMsOf } from './insides.js';
import type { Planted } from './planted-bug.js';
import { PLANTED_PRODUCER_BUGS } from './planted-producer-bugs.js';
import { PLANTED_READ_BUGS } from './planted-read-bugs.js';
import { PLANTED_SNAPSHOT_BUGS } from './planted-snapshot-bugs.js';

/** Well-known ways to get Raft and its storage wrong, one switch each. The simulation must find every one of them. */
export const PLANTED_BUGS: Readonly<Record<string, Planted>> = {
  /** Section 3.6.2, figure 3.7: the rule that a leader counts only entries of its own term is left out. */
  'an old term is committed by counting': {
    foundWith: 2,
    bug: { afterInput: (stream) => commit(stream, coreOf(stream).configuration, () => true) },
  },
  'the vote is not persisted': {
    foundWith: 1,
    bug: {
      storing: (requests) =>
        requests.map((request) =>
          request.hardState === undefined
            ? request
            : { ...request, hardState: { term: request.hardState.term, vote: undefined } },
        ),
    },
  },
  'the term is not persisted': {
    foundWith: 2,
    bug: {
      storing: (requests) =>
        requests.map(({ hardState, ...request }) =>
          hardState?.vote === undefined ? request : { ...request, hardState },
        ),
    },
  },
  'the vote leaves before it is durable': {
    foundWith: 1,
    bug: {
      started(stream) {
        serverOf(stream).durability.hold = (outbound) => outbound;
      },
    },
  },
  'entries are acknowledged before they are durable': {
    foundWith: 1,
    bug: {
      started(stream) {
        const { durability, log } = serverOf(stream);
        Object.defineProperty(durability, 'durableIndex', { get: () => log.lastIndex, set: () => undefined });
      },
    },
  },
  /** A late, duplicated append cuts off what came after it. */
  'every append truncates': {
    foundWith: 1,
    bug: {
      beforeStep(stream, { message }) {
        const { log } = serverOf(stream);
        Reflect.deleteProperty(log, 'matches');
        if (message.type !== 'append') return;
        const matches = log.matches.bind(log);
        log.matches = (index, term) => index === message.previousIndex && matches(index, term);
      },
    },
  },
  /** A follower acknowledges the end of its log, matched or not. */
  'matchIndex is taken from the last index': {
    foundWith: 3,
    bug: {
      sending(stream, packet) {
        const { message } = packet;
        if (message.type !== 'append-result' || !message.accepted) return packet;
        return { ...packet, message: { ...message, index: coreOf(stream).durableIndex } };
      },
    },
  },
  'a heartbeat commits more than the follower is known to hold': {
    foundWith: 3,
    bug: {
      sending(stream, packet) {
        const { message } = packet;
        return message.type === 'heartbeat'
          ? { ...packet, message: { ...message, commitIndex: stream.group.commitIndex } }
          : packet;
      },
      beforeStep(stream, { message }) {
        // The receiver trusts it, as far as its log goes.
        if (message.type === 'heartbeat')
          Object.assign(message, { commitIndex: Math.min(message.commitIndex, stream.group.tail.index) });
      },
    },
  },
  /** Section 4.1: a leader takes the configuration that it has inherited for committed. */
  'the members change before an entry of the own term is committed': {
    foundWith: 4,
    bug: { afterInput: (stream) => goOnAsIfCommitted(stream, ({ index }, noopIndex) => index < noopIndex) },
  },
  /** A joint configuration is left, and the next change begun, before it is committed. */
  'two changes of the members at once': {
    foundWith: 3,
    bug: { afterInput: (stream) => goOnAsIfCommitted(stream, () => true) },
  },
  'a learner is counted': {
    foundWith: 10,
    bug: {
      afterInput(stream) {
        const { voters, learners } = stream.group.membership;
        commit(stream, { voters: [...voters, ...learners], outgoing: [], learners: [] });
      },
    },
  },
  /** Section 4.3: the voters before have no say any more. */
  'a joint configuration asks only the new half': {
    foundWith: 3,
    bug: { afterInput: (stream) => commit(stream, { ...stream.group.membership, outgoing: [] }) },
  },
  'a log that is behind gets the vote': {
    foundWith: 2,
    bug: {
      started(stream) {
        serverOf(stream).log.isUpToDate = () => true;
      },
    },
  },
  /** Section 9.6: a server that was cut off deposes a leader that the others hear. */
  'a pre-vote is granted while a leader is heard': {
    foundWith: 1,
    bug: {
      started(stream) {
        serverOf(stream).hearsLeader = () => false;
      },
    },
  },
  /** Section 6.4, first step: a new leader does not know yet what is committed. */
  'reads are answered before the no-op is committed': {
    foundWith: 10,
    bug: {
      afterInput(stream) {
        const server = serverOf(stream);
        if (server.role.name !== 'leader') return;
        const { reads } = server.role;
        if (Object.hasOwn(reads, 'add')) return;
        const add = reads.add.bind(reads);
        reads.add = (from, requestId, index, round) => add(from, requestId, index ?? server.commitIndex, round);
      },
    },
  },
  /** Section 6.4, second step: another may have been elected meanwhile. */
  'a leader answers reads without asking a majority': {
    foundWith: 2,
    bug: {
      started(stream) {
        const ask = stream.group.confirmReadIndex.bind(stream.group);
        stream.group.confirmReadIndex = () =>
          stream.group.commitIndex >= (coreOf(stream).noopIndex ?? Number.POSITIVE_INFINITY)
            ? Promise.resolve(stream.group.commitIndex)
            : ask();
      },
    },
  },
  /** A crash in between, and the log looks as if it had lost its end. */
  'the marker is ahead of the log': {
    foundWith: 17,
    bug: {
      started(_, storage) {
        const stores: unknown = Reflect.get(storage, 'stores');
        assert(stores instanceof Map);
        for (const store of stores.values()) markEarly(store);
      },
    },
  },
  ...PLANTED_SNAPSHOT_BUGS,
  /** The leader gives up events, and with it everybody else whom it may replace. */
  'the log begins later before that is committed': {
    foundWith: 1,
    bug: {
      started(stream) {
        const admission = admissionOf(stream);
        const appended = admission.appended.bind(admission);
        admission.appended = (command, index) => {
          appended(command, index);
          // In a turn of its own, when the record stands in the log.
          if (command.kind === 'log-begin') partsOf(stream).inbox.post(() => stream.group.state.advance(index));
        };
      },
    },
  },
  ...PLANTED_PRODUCER_BUGS,
  ...PLANTED_READ_BUGS,
  /** Ids that everybody may know are taken for a proof. */
  'an outsider passes for a member': { foundWith: 1, bug: { letsOutsidersIn: true } },
  /** One clock decides what is too old, and nobody asks the others. */
  'a leader gives up events by its own clock': {
    foundWith: 28,
    bug: {
      started(stream) {
        stream.group.time.reachedMs = () => utcMsOf(stream);
      },
    },
  },
};
