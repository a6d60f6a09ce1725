import assert from 'node:assert/strict';
import { FlotillaError, type LogIndex, logIndex } from '../../src/base/index.js';
import type { ProducerStamp } from '../../src/event/index.js';
import type { Proposed } from '../../src/machine/index.js';
import {
  type Configuration,
  committedIndex,
  type IndexedConfiguration,
  isJoint,
  leaveJoint,
} from '../../src/raft/index.js';
import { appendConfiguration } from '../../src/raft/leader.js';
import type { PlantedBug } from '../../src/sim/index.js';
import { GROUP } from '../../src/sim/process.js';
import { GroupStore, type GroupWrite } from '../../src/storage/group/group-store.js';
import { MarkerFile } from '../../src/storage/log/marker-file.js';
import type { Stream } from '../../src/stream/index.js';
import { admissionOf, coreOf, partsOf, queueOf, serverOf, utcMsOf } from './node-internals.js';
import { PLANTED_READ_BUGS } from './planted-read-bugs.js';

/** A bug, and the seed that found it last: it is tried first, and a change of the code may make another one find it. */
export interface Planted {
  readonly foundWith: number;
  readonly bug: PlantedBug;
}

/** Well-known ways to get Raft and its storage wrong, one switch each. The simulation must find every one of them. */
export const PLANTED_BUGS: Readonly<Record<string, Planted>> = {
  /** Section 3.6.2, figure 3.7: the rule that a leader counts only entries of its own term is left out. */
  'an old term is committed by counting': {
    foundWith: 2,
    bug: { afterInput: (replica) => commit(replica, coreOf(replica).configuration, () => true) },
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
      started(replica) {
        serverOf(replica).durability.hold = (outbound) => outbound;
      },
    },
  },
  'entries are acknowledged before they are durable': {
    foundWith: 1,
    bug: {
      started(replica) {
        const { durability, log } = serverOf(replica);
        Object.defineProperty(durability, 'durableIndex', { get: () => log.lastIndex, set: () => undefined });
      },
    },
  },
  /** A late, duplicated append cuts off what came after it. */
  'every append truncates': {
    foundWith: 1,
    bug: {
      beforeStep(replica, { message }) {
        const { log } = serverOf(replica);
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
      sending(replica, packet) {
        const { message } = packet;
        if (message.type !== 'append-result' || !message.accepted) return packet;
        return { ...packet, message: { ...message, index: coreOf(replica).durableIndex } };
      },
    },
  },
  'a heartbeat commits more than the follower is known to hold': {
    foundWith: 3,
    bug: {
      sending(replica, packet) {
        const { message } = packet;
        return message.type === 'heartbeat'
          ? { ...packet, message: { ...message, commitIndex: replica.group.commitIndex } }
          : packet;
      },
      beforeStep(replica, { message }) {
        // The receiver trusts it, as far as its log goes.
        if (message.type === 'heartbeat')
          Object.assign(message, { commitIndex: Math.min(message.commitIndex, replica.group.tail.index) });
      },
    },
  },
  /** Section 4.1: a leader takes the configuration that it has inherited for committed. */
  'the members change before an entry of the own term is committed': {
    foundWith: 4,
    bug: { afterInput: (replica) => goOnAsIfCommitted(replica, ({ index }, noopIndex) => index < noopIndex) },
  },
  /** A joint configuration is left, and the next change begun, before it is committed. */
  'two changes of the members at once': {
    foundWith: 3,
    bug: { afterInput: (replica) => goOnAsIfCommitted(replica, () => true) },
  },
  'a learner is counted': {
    foundWith: 10,
    bug: {
      afterInput(replica) {
        const { voters, learners } = replica.group.membership;
        commit(replica, { voters: [...voters, ...learners], outgoing: [], learners: [] });
      },
    },
  },
  /** Section 4.3: the voters before have no say any more. */
  'a joint configuration asks only the new half': {
    foundWith: 3,
    bug: { afterInput: (replica) => commit(replica, { ...replica.group.membership, outgoing: [] }) },
  },
  'a log that is behind gets the vote': {
    foundWith: 2,
    bug: {
      started(replica) {
        serverOf(replica).log.isUpToDate = () => true;
      },
    },
  },
  /** Section 9.6: a server that was cut off deposes a leader that the others hear. */
  'a pre-vote is granted while a leader is heard': {
    foundWith: 1,
    bug: {
      started(replica) {
        serverOf(replica).hearsLeader = () => false;
      },
    },
  },
  /** Section 6.4, first step: a new leader does not know yet what is committed. */
  'reads are answered before the no-op is committed': {
    foundWith: 10,
    bug: {
      afterInput(replica) {
        const server = serverOf(replica);
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
      started(replica) {
        const ask = replica.group.confirmReadIndex.bind(replica.group);
        replica.group.confirmReadIndex = () =>
          replica.group.commitIndex >= (coreOf(replica).noopIndex ?? Number.POSITIVE_INFINITY)
            ? Promise.resolve(replica.group.commitIndex)
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
  /** The leader gives up events, and with it everybody else whom it may replace. */
  'the log begins later before that is committed': {
    foundWith: 1,
    bug: {
      started(replica) {
        const admission = admissionOf(replica);
        const appended = admission.appended.bind(admission);
        admission.appended = (command, index) => {
          appended(command, index);
          // In a turn of its own, when the record stands in the log.
          if (command.kind === 'log-begin') partsOf(replica).inbox.post(() => replica.group.state.advance(index));
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
  /** The batch in its place is in the leader's log, and may never be committed. */
  'a refusal rests on an uncommitted event': {
    foundWith: 4,
    bug: {
      started(replica) {
        const admission = admissionOf(replica);
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
      started(replica) {
        const admission = admissionOf(replica);
        const [decide, appended] = [admission.decide.bind(admission), admission.appended.bind(admission)];
        const open = new Map<string, Proposed>();
        const nameOf = ({ producer, sequence }: ProducerStamp): string => `${producer} ${sequence}`;
        admission.appended = (command, index) => {
          appended(command, index);
          const { tail, self: actor, term } = replica.group;
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
      started(replica) {
        const queue = queueOf(replica);
        const { state } = replica.group;
        const next = queue.next.bind(queue);
        queue.next = () => {
          const real = state.appliedIndex;
          if (real >= (coreOf(replica).noopIndex ?? real)) return next();
          Object.defineProperty(state, 'appliedIndex', { configurable: true, get: () => coreOf(replica).noopIndex });
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
      started(replica) {
        admissionOf(replica).appended = () => undefined;
      },
    },
  },
  ...PLANTED_READ_BUGS,
  /** Ids that everybody may know are taken for a proof. */
  'an outsider passes for a member': { foundWith: 1, bug: { letsOutsidersIn: true } },
  /** One clock decides what is too old, and nobody asks the others. */
  'a leader gives up events by its own clock': {
    foundWith: 28,
    bug: {
      started(replica) {
        replica.group.time.reachedMs = () => utcMsOf(replica);
      },
    },
  },
};

/** Commits what a leader's followers are known to hold, as this configuration counts them. */
function commit(
  replica: Stream,
  configuration: Configuration,
  counts: (index: LogIndex) => boolean = (index) => coreOf(replica).termAt(index) === replica.group.term,
): void {
  const core = coreOf(replica);
  const match = core.matchIndexes();
  if (match === undefined) return;
  const self = serverOf(replica).self;
  const index = committedIndex(configuration, (actor) =>
    actor === self ? core.durableIndex : (match.get(actor) ?? logIndex(0)),
  );
  if (index > core.commitIndex && counts(index)) serverOf(replica).commitIndex = index;
}

/** Leaves a joint configuration that is not committed, where `hasty` says so. */
function goOnAsIfCommitted(
  replica: Stream,
  hasty: (latest: IndexedConfiguration, noopIndex: LogIndex) => boolean,
): void {
  const server = serverOf(replica);
  const { role, configurations } = server;
  const { latest } = configurations;
  if (role.name !== 'leader' || !isJoint(latest.configuration) || !hasty(latest, role.noopIndex)) return;
  appendConfiguration(server, role, leaveJoint(latest.configuration));
}

function markEarly(store: unknown): void {
  assert(store instanceof GroupStore);
  const marker: unknown = Reflect.get(store, 'marker');
  assert(marker instanceof MarkerFile);
  const write = store.write.bind(store);
  store.write = async (request: GroupWrite) => {
    const last = request.records.at(-1);
    if (last !== undefined)
      marker.note({ ...marker.current, index: last.index, term: last.term, checksum: last.checksum });
    await write(request);
  };
}
