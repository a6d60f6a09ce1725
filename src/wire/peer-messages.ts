import { FlotillaError, type GroupId, groupId, logIndex, present, term, unreachable } from '../base/index.js';
import type { Append, EntryInfo, HeartbeatResult, Message } from '../raft/index.js';
import type * as proto from './proto.js';
import { entryInfoOf, follows, type LogRecord, openRecord, tailAfter } from './record.js';

/** One message of consensus between two nodes, and the records that travel with an append. */
export interface PeerMessage {
  readonly group: GroupId;
  readonly message: Message;
  readonly records: readonly LogRecord[];
}

type WireMessage = NonNullable<proto.DeliverRequest['message']>;

export function peerMessageToProto({ group, message, records }: PeerMessage): proto.DeliverRequest {
  return { group, message: toWire(message, records), more: [] };
}

/** Says that the sender's node is alive. */
export function nodeHeartbeat(): proto.DeliverRequest {
  return { group: 0, message: { $case: 'nodeHeartbeat', value: {} }, more: [] };
}

/** Several requests as one, in their order; at least one. */
export function frameOf(requests: readonly proto.DeliverRequest[]): proto.DeliverRequest {
  const [first, ...more] = requests;
  return { ...present(first, 'a frame carries something'), more };
}

/** The requests of a frame; none is said by node heartbeats. Throws INVALID_ARGUMENT where frames are nested. */
export function requestsOf(frame: proto.DeliverRequest): proto.DeliverRequest[] {
  if (frame.more.some(({ more }) => more.length > 0))
    throw new FlotillaError('INVALID_ARGUMENT', 'more: holds frames of its own');
  return [frame, ...frame.more].filter(({ message }) => message?.$case !== 'nodeHeartbeat');
}

function toWire(message: Message, records: readonly LogRecord[]): WireMessage {
  switch (message.type) {
    case 'vote-request':
      return { $case: 'voteRequest', value: message };
    case 'vote-response':
      return { $case: 'voteResponse', value: message };
    case 'append': {
      const { previousIndex, previousTerm, commitIndex } = message;
      const value = {
        term: message.term,
        previousIndex,
        previousTerm,
        commitIndex,
        records: records.map(({ bytes }) => bytes),
      };
      return { $case: 'append', value };
    }
    case 'append-result':
      return { $case: 'appendResult', value: message };
    case 'heartbeat':
      return { $case: 'heartbeat', value: message };
    case 'heartbeat-result':
      return {
        $case: 'heartbeatResult',
        value: { ...message, diskPressure: DISK_PRESSURES.indexOf(message.diskPressure) },
      };
    case 'timeout-now':
      return { $case: 'timeoutNow', value: message };
    case 'read-index-request':
      return { $case: 'readIndexRequest', value: message };
    case 'read-index-response':
      return { $case: 'readIndexResponse', value: message };
    case 'snapshot':
      return { $case: 'snapshot', value: message };
    case 'snapshot-result':
      return { $case: 'snapshotResult', value: message };
    default:
      return unreachable(message);
  }
}

/**
 * The inverse. Nothing in it is believed: throws DATA_LOSS where a record's
 * envelope is damaged, FOREIGN_NODE where it is of a later format, and
 * INVALID_ARGUMENT where the message or the order of its records makes no sense.
 */
export function peerMessageFromProto(request: proto.DeliverRequest): PeerMessage {
  const group = groupId(request.group);
  const wire = request.message;
  if (wire === undefined)
    throw new FlotillaError('INVALID_ARGUMENT', 'message: is of a kind that this version does not know');
  if (wire.$case === 'nodeHeartbeat' || wire.$case === 'clockRequest' || wire.$case === 'clockAnswer')
    throw new FlotillaError('INVALID_ARGUMENT', `message: ${wire.$case} belongs to no group`);
  if (wire.$case === 'proof') throw new FlotillaError('INVALID_ARGUMENT', 'message: a proof comes first, and once');
  if (wire.$case === 'append') {
    const records = openRecords(wire.value);
    return { group, message: appendFromWire(wire.value, records), records };
  }
  return { group, message: fromWire(wire), records: [] };
}

/** What is about a group. */
type GroupMessage = Exclude<
  WireMessage,
  { $case: 'append' | 'nodeHeartbeat' | 'clockRequest' | 'clockAnswer' | 'proof' }
>;

function fromWire(wire: GroupMessage): Message {
  switch (wire.$case) {
    case 'voteRequest': {
      const { lastIndex, lastTerm, preVote, leadershipTransfer } = wire.value;
      const last = { lastIndex: logIndex(lastIndex), lastTerm: term(lastTerm) };
      return { type: 'vote-request', term: term(wire.value.term), ...last, preVote, leadershipTransfer };
    }
    case 'voteResponse':
      return {
        type: 'vote-response',
        term: term(wire.value.term),
        granted: wire.value.granted,
        preVote: wire.value.preVote,
      };
    case 'appendResult': {
      const { accepted, index, hintIndex, hintTerm } = wire.value;
      const hint = { hintIndex: logIndex(hintIndex), hintTerm: term(hintTerm) };
      return { type: 'append-result', term: term(wire.value.term), accepted, index: logIndex(index), ...hint };
    }
    case 'heartbeat':
      return {
        type: 'heartbeat',
        ...wire.value,
        term: term(wire.value.term),
        commitIndex: logIndex(wire.value.commitIndex),
      };
    case 'heartbeatResult':
      return heartbeatResultFromWire(wire.value);
    case 'timeoutNow':
      return { type: 'timeout-now', term: term(wire.value.term) };
    case 'readIndexRequest':
      return { type: 'read-index-request', term: term(wire.value.term), requestId: wire.value.requestId };
    case 'readIndexResponse': {
      const { requestId, index } = wire.value;
      return { type: 'read-index-response', term: term(wire.value.term), requestId, index: logIndex(index) };
    }
    case 'snapshot': {
      const { index, indexTerm, offset, totalBytes, digest, data } = wire.value;
      const of = { index: logIndex(index), indexTerm: term(indexTerm) };
      return { type: 'snapshot', term: term(wire.value.term), ...of, offset, totalBytes, digest, data };
    }
    case 'snapshotResult': {
      const { index, receivedBytes } = wire.value;
      return { type: 'snapshot-result', term: term(wire.value.term), index: logIndex(index), receivedBytes };
    }
    default:
      return unreachable(wire);
  }
}

/** Their positions are the protocol's numbers. */
const DISK_PRESSURES: readonly HeartbeatResult['diskPressure'][] = [undefined, 'low', 'full'];

function heartbeatResultFromWire({ term: inTerm, round, quiesced, diskPressure }: proto.HeartbeatResult): Message {
  const said = DISK_PRESSURES[diskPressure];
  return {
    type: 'heartbeat-result',
    term: term(inTerm),
    round,
    quiesced,
    ...(said === undefined ? {} : { diskPressure: said }),
  };
}

function appendFromWire(wire: proto.Append, records: readonly LogRecord[]): Append {
  return {
    type: 'append',
    term: term(wire.term),
    previousIndex: logIndex(wire.previousIndex),
    previousTerm: term(wire.previousTerm),
    commitIndex: logIndex(wire.commitIndex),
    entries: records.map(entryInfo),
  };
}

/** The checksum says that these are the bytes that were sent, not that they were made with sense. */
function entryInfo(record: LogRecord): EntryInfo {
  try {
    return entryInfoOf(record);
  } catch (cause) {
    throw new FlotillaError('INVALID_ARGUMENT', `records: record ${record.index} holds no configuration`, { cause });
  }
}

/** The records of an append: each whole, each following the one before it in one and the same history. */
function openRecords(append: proto.Append): LogRecord[] {
  const records = append.records.map(openRecord);
  let before: LogRecord | undefined;
  for (const record of records) {
    const fits =
      before === undefined
        ? record.index === append.previousIndex + 1 && record.term >= append.previousTerm
        : follows(tailAfter(before), record);
    if (!fits || record.term > append.term) {
      const place = before === undefined ? `the previous index ${append.previousIndex}` : `record ${before.index}`;
      throw new FlotillaError(
        'INVALID_ARGUMENT',
        `records: record ${record.index} of term ${record.term} does not follow ${place}`,
      );
    }
    before = record;
  }
  return records;
}
