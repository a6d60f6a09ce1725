import { type ActorId, FlotillaError } from '../base/index.js';
import { NO_BOUND, type SettingsChanges } from '../machine/stream/index.js';
import { isJoint, type MemberChange, membersOf } from '../raft/index.js';
import type { Cluster } from './cluster.js';
import type { Host } from './host.js';
import { memberOf } from './node-folder.js';

/** Operators change the members and hand leadership over, now and then two of them at once. */
export class Operators {
  private readonly cluster: Cluster;
  /** Change the members for no reason, too. */
  private readonly busy: boolean;
  private readonly gapMsMax: number;

  constructor(cluster: Cluster, options: { busy: boolean; gapMsMax: number }) {
    this.cluster = cluster;
    this.busy = options.busy;
    this.gapMsMax = options.gapMsMax;
  }

  begin(): void {
    this.cluster.after(this.cluster.between(50, 400), () => this.act());
  }

  /** The host that is not what it was and has to be replaced, if there is one. */
  get broken(): Host | undefined {
    return [...this.cluster.hosts.values()].find(({ condition }) => condition !== 'whole');
  }

  /** A member that was carried away: a change that was under way when that happened has taken it in again. */
  private get missing(): ActorId | undefined {
    const { hosts } = this.cluster;
    const streams = [...hosts.values()].map(({ observed }) => observed.stream);
    const members = streams.flatMap((stream) =>
      stream?.group.role === 'leader' ? membersOf(stream.group.membership) : [],
    );
    return members.find((actor) => !hosts.has(actor));
  }

  transfer(): void {
    const { cluster } = this;
    const to = cluster.random() < 0.5 ? undefined : cluster.any().actor;
    cluster.turns.inputAfter(0, cluster.anyLeader(), ({ stream }) => {
      if (stream?.group.role !== 'leader') return;
      cluster.figures.transfers++;
      void stream.group.handOver(cluster.between(100, 400), to);
    });
  }

  /** Less is kept, or more. A node that lacks what is given up needs a snapshot. */
  changeSettings(): void {
    const { cluster } = this;
    const changes: SettingsChanges = {
      maxEvents: cluster.random() < 0.7 ? cluster.between(1, 60) : NO_BOUND,
      maxBytes: cluster.random() < 0.3 ? cluster.between(1, 10_000) : NO_BOUND,
      maxAgeMs: cluster.random() < 0.3 ? cluster.between(50, 3000) : NO_BOUND,
    };
    cluster.turns.inputAfter(0, cluster.anyLeader(), ({ stream }) => {
      stream?.changeSettings(changes).catch((error: unknown) => {
        if (error instanceof FlotillaError) return;
        cluster.defer(() => {
          throw error;
        });
      });
    });
  }

  private act(): void {
    const { cluster, broken } = this;
    cluster.after(cluster.between(20, cluster.calm ? 100 : this.gapMsMax), () => this.act());
    const { missing } = this;
    if (missing !== undefined) this.change([{ actor: missing, to: 'removed' }]);
    else if (broken !== undefined) this.attend(broken);
    else if (this.busy && !cluster.calm) {
      this.changeAtRandom();
      if (cluster.random() < 0.2) this.changeAtRandom();
    }
  }

  /** Wants any host to become anything, several at once, whatever is going on. */
  private changeAtRandom(): void {
    const { cluster } = this;
    this.change(
      Array.from({ length: cluster.between(1, 3) }, () => ({
        actor: cluster.any().actor,
        to: cluster.pick(['voter', 'voter', 'voter', 'learner', 'removed'] as const),
      })),
    );
  }

  /** One that still runs, whatever is wrong with its disk, is left alone for a while. */
  private attend(broken: Host): void {
    if (broken.condition === 'lost' || this.cluster.calm || this.cluster.random() < 0.2) this.replace(broken);
  }

  /** Takes a host out of the cluster and a new one in; once that is committed it is carried away. */
  private replace(broken: Host): void {
    const { cluster } = this;
    const leader = cluster.anyLeader();
    const stream = leader.observed.stream;
    if (stream?.group.role !== 'leader') return;
    const { membership: configuration } = stream.group;
    const settled = !isJoint(configuration) && stream.group.matchIndexes() !== undefined && this.isCommitted(leader);
    if (!membersOf(configuration).includes(broken.actor) && settled) {
      cluster.figures.replacements++;
      cluster.crash(broken, true);
      cluster.retire(broken);
      return;
    }
    const changes: MemberChange[] = [{ actor: broken.actor, to: 'removed' }];
    if (cluster.hosts.size < 7) changes.push({ actor: cluster.addHost().actor, to: 'voter' });
    else
      for (const { actor, condition } of cluster.hosts.values())
        if (condition === 'whole') changes.push({ actor, to: 'voter' });
    this.change(changes);
  }

  /** Whether the members that this leader knows are those that a quorum has agreed on, in its term. */
  private isCommitted({ observed: { stream, records } }: Host): boolean {
    const latest = records.findLast(({ kind }) => kind === 'configuration');
    if (stream === undefined) return false;
    return (
      (latest === undefined || latest.index <= stream.group.commitIndex) &&
      records[stream.group.commitIndex - 1]?.term === stream.group.term
    );
  }

  private change(changes: readonly MemberChange[]): void {
    this.cluster.turns.inputAfter(0, this.cluster.anyLeader(), ({ stream }) => {
      if (stream === undefined) return;
      const introduced = changes.map(({ actor }) => memberOf(actor));
      stream.group.changeMembers(changes, introduced).catch((error: unknown) => {
        if (error instanceof FlotillaError) return;
        this.cluster.defer(() => {
          throw error;
        });
      });
    });
  }
}
