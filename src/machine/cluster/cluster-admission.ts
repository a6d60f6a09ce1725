import { FlotillaError, type LogIndex, type Member, sameSeat } from '../../base/index.js';
import type { Admission, Decision } from '../state-machine.js';
import type { ClusterCommand, MemberCommand } from './cluster-commands.js';
import type { ClusterMachine } from './cluster-machine.js';
import type { ClusterState } from './cluster-state.js';

const APPEND: Decision = { kind: 'append' };

/** A leader's decisions about the cluster's commands, each on a state in which all before it are in force. */
export class ClusterAdmission implements Admission<ClusterCommand, ClusterMachine> {
  /** The last record that was appended in this term and has not taken effect. */
  private open: LogIndex | undefined;

  decide(command: ClusterCommand, { state }: ClusterMachine): Decision {
    if (this.open !== undefined) return { kind: 'wait', index: this.open };
    const error = refusalOf(command, state);
    return error === undefined ? APPEND : { kind: 'refuse', error, isCertain: false };
  }

  appended(_command: ClusterCommand, index: LogIndex): void {
    this.open = index;
  }

  applied(index: LogIndex): void {
    if (this.open !== undefined && this.open <= index) this.open = undefined;
  }
}

function refusalOf(command: ClusterCommand, state: ClusterState): FlotillaError | undefined {
  switch (command.kind) {
    case 'member':
      return refusalOfMember(command, state);
    case 'member-leaving': {
      const { actor } = command.content;
      if (!state.members.some((member) => sameSeat(member, command.content)))
        return new FlotillaError('INVALID_ARGUMENT', `actor ${actor} is no member`);
      const stays = state.members.some((member) => member.isLeaving !== true && member.actor !== actor);
      return stays ? undefined : new FlotillaError('INVALID_ARGUMENT', 'no other member would stay');
    }
    default:
      return undefined;
  }
}

function refusalOfMember({ content, predecessor }: MemberCommand, state: ClusterState): FlotillaError | undefined {
  const { member, voucher } = content;
  const holder = state.members.find(({ actor }) => actor === member.actor);
  if (holder !== undefined && holder.instance !== member.instance && holder.instance !== predecessor)
    return new FlotillaError('FOREIGN_NODE', actorIsTaken(holder, holder.address));
  if (voucher.index > (state.vouchers.at(-1)?.index ?? 0)) return undefined;
  return new FlotillaError('MEMBERSHIP_CHANGING', 'another node was taken in at the same time; try again');
}

/** What a node is told that comes with another data directory than the member of its name. `where`: a member. */
export function actorIsTaken({ actor }: Member, where: string): string {
  return (
    `actor id ${actor} is taken: in the cluster of ${where} it belongs to another data directory. ` +
    'Start this node on that directory, or give it another --actor-id; a node that lost its data must not ' +
    'come back under the same name ' +
    `before the cluster has let it go (flotilla cluster remove ${actor})`
  );
}
