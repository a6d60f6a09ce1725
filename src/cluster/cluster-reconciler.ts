import { type ActorId, LIMITS, type Member, sameSeat } from '../base/index.js';
import type { Clock, Logger } from '../group/index.js';
import { type ClusterCommand, type ClusterState, clusterCommand, type Founding } from '../machine/cluster/index.js';
import type { Membership, VersionRange } from '../wire/index.js';
import type { Cluster } from './cluster.js';
import { LeaderLoop, type StepOutcome } from './leader-loop.js';

/** What a member says of itself, as its process runs now. */
export interface Speaker extends Member {
  readonly versions: VersionRange;
}

export interface ClusterReconcilerOptions {
  readonly cluster: Cluster;
  /** What a cluster without a record begins with. */
  readonly founding: Founding;
  readonly self: Speaker;
  /** The others that are linked with this node now. */
  readonly others: () => readonly Speaker[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Brings the cluster's state, while this node leads group 0, in line with what is: founds it, notes where the members
 * are and which version all of them speak, and forgets a member that no configuration names any more; a leader that is
 * to leave hands over first. Each member tells those that it dials; the leader puts it into the log, from which all
 * others, and the clients, have it.
 */
export class ClusterReconciler extends LeaderLoop {
  private readonly options: ClusterReconcilerOptions;

  constructor(options: ClusterReconcilerOptions) {
    super({ ...options, group: options.cluster.group });
    this.options = options;
  }

  protected override async step(): Promise<StepOutcome> {
    const { cluster, founding, self, others, logger } = this.options;
    if (cluster.state.members.some((member) => sameSeat(member, self) && member.isLeaving))
      return await this.handOver();
    const command =
      cluster.state.clusterId === ''
        ? clusterCommand('cluster', self.actor, founding)
        : nextCommand(self.actor, cluster.state, cluster.group.members.committed, [self, ...others()]);
    // Nobody tells when a configuration without a member is committed.
    if (command === undefined) return cluster.state.members.some(({ isLeaving }) => isLeaving) ? 'later' : 'nothing';
    await cluster.group.execute(command);
    if (command.kind === 'member-address') {
      const { actor, address } = command.content;
      logger.info({ member: actor, address }, 'a member has another address');
    }
    return 'done';
  }

  /** A node that leaves might never hear that a group has committed that: another leader has to take it out. */
  private async handOver(): Promise<StepOutcome> {
    const { cluster, others } = this.options;
    const { voters } = cluster.group.membership;
    const staying = cluster.state.members.filter(
      ({ actor, isLeaving }) => isLeaving !== true && voters.includes(actor),
    );
    const successor = staying.find((member) => others().some((other) => sameSeat(other, member)));
    if (successor !== undefined) await cluster.group.handOver(LIMITS.transferMs, successor.actor);
    return 'later';
  }
}

/** What the state lacks, by the committed configuration of group 0 and by what members say; undefined: nothing. */
export function nextCommand(
  self: ActorId,
  state: ClusterState,
  committed: Membership,
  said: readonly Speaker[],
): ClusterCommand | undefined {
  const { members, activeVersion } = state;
  const gone = members.find(
    (member) => member.isLeaving === true && !committed.members.some((seat) => sameSeat(seat, member)),
  );
  if (gone !== undefined) return clusterCommand('member-left', self, { actor: gone.actor, instance: gone.instance });
  const speakers = said.filter((speaker) => members.some((member) => sameSeat(member, speaker)));
  const moved = speakers.find((speaker) =>
    members.some((member) => sameSeat(member, speaker) && member.address !== speaker.address),
  );
  if (moved !== undefined) {
    const { actor, instance, address } = moved;
    return clusterCommand('member-address', self, { actor, instance, address });
  }
  const version = commonVersion(members, speakers);
  return version > activeVersion ? clusterCommand('active-version', self, { version }) : undefined;
}

/**
 * The highest version that every member speaks, learners included: each gets every record. 0 while one is not there to
 * say so, for it may come back with another version than it had.
 */
function commonVersion(members: readonly Member[], speakers: readonly Speaker[]): number {
  const spoken = new Map(speakers.map(({ actor, versions }) => [actor, versions.highest]));
  return Math.min(...members.map(({ actor }) => spoken.get(actor) ?? 0));
}
