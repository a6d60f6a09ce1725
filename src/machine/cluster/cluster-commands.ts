import {
  type ActorId,
  asciiBytes,
  asciiText,
  FlotillaError,
  type Member,
  type Seat,
  type Voucher,
} from '../../base/index.js';
import type { Command } from '../state-machine.js';
import type { ClusterState } from './cluster-state.js';

/*
 * The payload of each record of the cluster is JSON: few of them are written in a day, and a dump of the log can be
 * read.
 */

/** Begins a cluster; another one than before only where an operator has forced a new cluster. */
export type Founding = Pick<ClusterState, 'clusterId' | 'members' | 'streams'>;

/** Takes a node in. */
export interface TakenIn {
  readonly member: Member;
  readonly voucher: Voucher;
}

/** The content of each kind of record. */
export interface ClusterContents {
  readonly cluster: Founding;
  readonly member: TakenIn;
  /** A member has another address than before. */
  readonly 'member-address': Member;
  /** A member is to be taken out of all configurations. */
  readonly 'member-leaving': Seat;
  /** No configuration names it any more. */
  readonly 'member-left': Seat;
  readonly 'active-version': { readonly version: number };
}

export type ClusterKind = keyof ClusterContents;

type CommandOf<Kind extends ClusterKind> = Command & {
  readonly kind: Kind;
  readonly content: ClusterContents[Kind];
  readonly payload: Uint8Array;
};

/** Takes a node in. `predecessor`: the instance whose seat it may take, where its actor id has one. */
export type MemberCommand = CommandOf<'member'> & { readonly predecessor?: string };

/** What can be proposed to the cluster's group. */
export type ClusterCommand =
  | MemberCommand
  | { [Kind in Exclude<ClusterKind, 'member'>]: CommandOf<Kind> }[Exclude<ClusterKind, 'member'>];

const FORMAT = 1;

/** A command that is appended whatever the state is: where it has nothing to say any more, it changes nothing. */
export function clusterCommand<Kind extends Exclude<ClusterKind, 'member' | 'member-leaving'>>(
  kind: Kind,
  actor: ActorId,
  content: ClusterContents[Kind],
): CommandOf<Kind> {
  return { ...conditional(kind, actor, content), isUnconditional: true };
}

export function memberCommand(actor: ActorId, content: TakenIn, predecessor?: string): MemberCommand {
  const command = conditional('member', actor, content);
  return predecessor === undefined ? command : { ...command, predecessor };
}

export function leavingCommand(actor: ActorId, seat: Seat): CommandOf<'member-leaving'> {
  return conditional('member-leaving', actor, seat);
}

function conditional<Kind extends ClusterKind>(
  kind: Kind,
  actor: ActorId,
  content: ClusterContents[Kind],
): CommandOf<Kind> {
  const payload = encodeContent(content);
  return { kind, actor, payloadBytes: payload.byteLength, eventCount: 0, content, payload };
}

export function encodeContent(content: ClusterContents[ClusterKind]): Uint8Array {
  return encodeJson({ format: FORMAT, ...content });
}

/** Throws UPGRADE_NEEDED where a newer version wrote it. */
export function decodeContent<Kind extends ClusterKind>(kind: Kind, payload: Uint8Array): ClusterContents[Kind] {
  // The record's checksum has been verified: these are the bytes that encodeContent wrote.
  const { format, ...content } = decodeJson<{ readonly format: unknown } & ClusterContents[Kind]>(payload);
  if (format === FORMAT) return content as unknown as ClusterContents[Kind];
  throw new FlotillaError(
    'UPGRADE_NEEDED',
    `a ${kind} record of format ${String(format)}, which is not known here, was written by a newer version of ` +
      'Flotilla; upgrade this node',
  );
}

/** JSON in ASCII: what lies beyond is escaped. */
export function encodeJson(value: unknown): Uint8Array {
  const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return asciiBytes(JSON.stringify(value).replace(/[\u0080-\uffff]/g, escaped));
}

export function decodeJson<Value>(bytes: Uint8Array): Value {
  return JSON.parse(asciiText(bytes)) as Value;
}
