import {
  AssertionFailure,
  assert,
  FlotillaError,
  LIMITS,
  type LogIndex,
  logIndex,
  type Member,
  type Seat,
  sameSeat,
} from '../../base/index.js';
import { FIRST_VERSION, type StreamRecordKind } from '../record-kinds.js';
import type { CommittedRecord, StateMachine } from '../state-machine.js';
import { decodeContent, decodeJson, encodeJson, type Founding, type TakenIn } from './cluster-commands.js';
import type { ClusterState } from './cluster-state.js';
import type { ClusterMember } from './members.js';

const FORMAT = 1;

interface Encoded extends ClusterState {
  readonly format: number;
  readonly index: LogIndex;
}

/** What the records of the cluster's group mean: the members, the active version and the catalogue of streams. */
export class ClusterMachine implements StateMachine {
  private current: ClusterState;
  private index: LogIndex;

  private constructor(state: ClusterState, index: LogIndex) {
    this.current = state;
    this.index = index;
  }

  static initial(): ClusterMachine {
    const nothing = { clusterId: '', activeVersion: FIRST_VERSION, members: [], vouchers: [], streams: [] };
    return new ClusterMachine(nothing, logIndex(0));
  }

  /** The inverse of {@link encode}. Throws UPGRADE_NEEDED where a newer version wrote the bytes. */
  static decode(bytes: Uint8Array): ClusterMachine {
    const { format, index, ...state } = decodeJson<Encoded>(bytes);
    if (format === FORMAT) return new ClusterMachine(state, index);
    throw new FlotillaError(
      'UPGRADE_NEEDED',
      `the state of a cluster has format ${format}; this version reads format ${FORMAT}: upgrade this node`,
    );
  }

  encode(): Uint8Array {
    const { clusterId, activeVersion, members, vouchers, streams } = this.current;
    return encodeJson({ format: FORMAT, index: this.index, clusterId, activeVersion, members, vouchers, streams });
  }

  get appliedIndex(): LogIndex {
    return this.index;
  }

  /** The state is all that there is to know. */
  get expendableIndex(): LogIndex {
    return this.index;
  }

  /** Another object after each record that changed something. */
  get state(): ClusterState {
    return this.current;
  }

  apply(record: CommittedRecord): void {
    assert(record.index === this.index + 1, `record ${record.index} was to be applied after record ${this.index}`);
    this.current = changed(this.current, record);
    this.index = record.index;
  }
}

function changed(state: ClusterState, { kind, payload }: CommittedRecord): ClusterState {
  switch (kind) {
    case 'no-op':
    case 'configuration':
      return state;
    case 'cluster':
      return founded(state, decodeContent(kind, payload));
    case 'member':
      return takenIn(state, decodeContent(kind, payload));
    case 'member-address':
      return moved(state, decodeContent(kind, payload));
    case 'member-leaving':
      return leaving(state, decodeContent(kind, payload));
    case 'member-left':
      return left(state, decodeContent(kind, payload));
    case 'active-version':
      return activated(state, decodeContent(kind, payload).version);
    default:
      throw new AssertionFailure(`a ${kind satisfies StreamRecordKind} record is none of the cluster's`);
  }
}

/** Each of a new cluster's first leaders says so. */
function founded(state: ClusterState, { clusterId, members, streams }: Founding): ClusterState {
  if (clusterId === state.clusterId) return state;
  return { ...state, clusterId, members: inOrder(members), vouchers: [], streams };
}

/** A node takes the place of whatever had its actor id before. */
function takenIn(state: ClusterState, { member, voucher }: TakenIn): ClusterState {
  const { members, vouchers } = state;
  if (members.some((other) => sameSeat(other, member))) return state;
  const others = members.filter(({ actor }) => actor !== member.actor);
  return {
    ...state,
    members: inOrder([...others, member]),
    vouchers: [...vouchers, voucher].slice(-LIMITS.vouchers),
  };
}

function moved(state: ClusterState, member: Member): ClusterState {
  return withMember(state, member, (known) => (known.address === member.address ? known : { ...known, ...member }));
}

function leaving(state: ClusterState, seat: Seat): ClusterState {
  return withMember(state, seat, (known) => (known.isLeaving ? known : { ...known, isLeaving: true }));
}

function left(state: ClusterState, seat: Seat): ClusterState {
  const members = state.members.filter((member) => !(sameSeat(member, seat) && member.isLeaving));
  return members.length === state.members.length ? state : { ...state, members };
}

function activated(state: ClusterState, version: number): ClusterState {
  return version > state.activeVersion ? { ...state, activeVersion: version } : state;
}

/** The same state where there is no such member, or it stays as it is. */
function withMember(state: ClusterState, seat: Seat, change: (known: ClusterMember) => ClusterMember): ClusterState {
  const known = state.members.find((member) => sameSeat(member, seat));
  const next = known === undefined ? undefined : change(known);
  if (next === undefined || next === known) return state;
  return { ...state, members: state.members.map((member) => (member === known ? next : member)) };
}

function inOrder(members: readonly ClusterMember[]): ClusterMember[] {
  return [...members].sort((a, b) => a.actor - b.actor);
}
