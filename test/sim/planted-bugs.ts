import assert from 'node:assert/strict';
import { FlotillaError, type LogIndex, logIndex } from '../../src/base/index.js';
import type { ProducerStamp } from '../../src/event/index.js';
import type { KnownBatch } from '../../src/machine/index.js';
import {
  type Configuration,
  committedIndex,
  isJoint,
  leaveJoint,
  type PlacedConfiguration,
  RaftCore,
} from '../../src/raft/index.js';
import { appendConfiguration } from '../../src/raft/leader.js';
import { ServerState } from '../../src/raft/server-state.js';
import type { Replica } from '../../src/replica/index.js';
import { ProducerDesk } from '../../src/replica/producer-desk.js';
import { Proposer } from '../../src/replica/proposer.js';
import type { PlantedBug } from '../../src/sim/index.js';
import { MachineClock } from '../../src/sim/machine-clock.js';
import { GROUP } from '../../src/sim/process.js';
import { GroupStore, type GroupWrite } from '../../src/storage/group-store.js';
import { MarkerFile } from '../../src/storage/marker-file.js';
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
          ? { ...packet, message: { ...message, commitIndex: replica.commitIndex } }
          : packet;
      },
      beforeStep(replica, { message }) {
        // The receiver trusts it, as far as its log goes.
        if (message.type === 'heartbeat')
          Object.assign(message, { commitIndex: Math.min(message.commitIndex, replica.tail.index) });
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
        const { voters, learners } = replica.membership;
        commit(replica, { voters: [...voters, ...learners], outgoing: [], learners: [] });
      },
    },
  },
  /** Section 4.3: the voters before have no say any more. */
  'a joint configuration asks only the new half': {
    foundWith: 3,
    bug: { afterInput: (replica) => commit(replica, { ...replica.membership, outgoing: [] }) },
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
        const ask = replica.confirmReadIndex.bind(replica);
        replica.confirmReadIndex = () =>
          replica.commitIndex >= (coreOf(replica).noopIndex ?? Number.POSITIVE_INFINITY)
            ? Promise.resolve(replica.commitIndex)
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
          const lineEnd = checkpoint.state.indexOf(0x0a);
          const before = Buffer.from(checkpoint.state.subarray(0, lineEnd)).toString();
          const { settings: _settings, ...state } = JSON.parse(before);
          const line = JSON.stringify({ ...state, begin: { firstCounter: 1, index: 0 } });
          return { ...checkpoint, state: Buffer.concat([Buffer.from(line), checkpoint.state.subarray(lineEnd)]) };
        };
      },
    },
  },
  /** The leader gives up events, and with it everybody else whom it may replace. */
  'the log begins later before that is committed': {
    foundWith: 1,
    bug: {
      started(replica) {
        const { stream } = replica;
        const propose = stream.propose.bind(stream);
        stream.propose = async (kind, payload) => {
          const proposed = propose(kind, payload);
          if (kind === 'log-begin') stream.advance(coreOf(replica).lastIndex);
          await proposed;
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
          return { ...checkpoint, state: checkpoint.state.subarray(0, checkpoint.state.indexOf(0x0a) + 1) };
        };
      },
    },
  },
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
  ...PLANTED_READ_BUGS,
  /** Ids that everybody may know are taken for a proof. */
  'an outsider passes for a member': { foundWith: 1, bug: { letsOutsidersIn: true } },
  /** One clock decides what is too old, and nobody asks the others. */
  'a leader gives up events by its own clock': {
    foundWith: 28,
    bug: {
      started(replica) {
        replica.time.reachedMs = () => utcMsOf(replica);
      },
    },
  },
};

function utcMsOf(replica: Replica): number {
  const clock: unknown = Reflect.get(replica, 'clock');
  assert(clock instanceof MachineClock, 'a replica keeps its clock in `clock`');
  return clock.utcMs();
}

function coreOf(replica: Replica): RaftCore {
  const core: unknown = Reflect.get(replica, 'core');
  assert(core instanceof RaftCore, 'a replica keeps consensus in `core`');
  return core;
}

function deskOf(replica: Replica): ProducerDesk {
  const proposer: unknown = Reflect.get(replica, 'proposer');
  assert(proposer instanceof Proposer, 'a replica keeps what it proposes in `proposer`');
  const desk: unknown = Reflect.get(proposer, 'desk');
  assert(desk instanceof ProducerDesk, 'a proposer decides about producers with `desk`');
  return desk;
}

function serverOf(replica: Replica): ServerState {
  const server: unknown = Reflect.get(coreOf(replica), 'server');
  assert(server instanceof ServerState, 'the core keeps its state in `server`');
  return server;
}

/** Commits what a leader's followers are known to hold, as this configuration counts them. */
function commit(
  replica: Replica,
  configuration: Configuration,
  counts: (index: LogIndex) => boolean = (index) => coreOf(replica).termAt(index) === replica.term,
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
  replica: Replica,
  hasty: (latest: PlacedConfiguration, noopIndex: LogIndex) => boolean,
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
