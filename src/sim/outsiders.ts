import { logIndex, type Random, term } from '../base/index.js';
import { CallerHandshake, InboundStreams } from '../peer/index.js';
import type { Message } from '../raft/index.js';
import type { CallContext } from '../rpc/index.js';
import { NodeKey, SPOKEN_VERSIONS } from '../wire/index.js';
import type { Cluster } from './cluster.js';
import type { Host } from './host.js';
import { memberOf } from './node-folder.js';
import type { PlantedBug, Process } from './process.js';

const CLUSTER = 'c'.repeat(32);

/**
 * A stranger that reaches the nodes' port and knows what they tell to all that ask. It
 * says that it is a member, at the very door that the server has, and what it has
 * to say is what would do most harm. It must never be let in.
 */
export class Outsiders {
  private readonly cluster: Cluster;
  private readonly random: Random;
  private readonly bug: PlantedBug | undefined;
  private readonly own = NodeKey.generate();

  constructor(cluster: Cluster, random: Random, bug: PlantedBug | undefined) {
    this.cluster = cluster;
    this.random = random;
    this.bug = bug;
  }

  begin(): void {
    this.cluster.after(this.between(50, 1500), () => {
      if (this.cluster.calm) return;
      void this.strike();
      this.begin();
    });
  }

  private async strike(): Promise<void> {
    const { cluster } = this;
    const [target, victim] = [this.any(), this.any()];
    const message = this.forged(target);
    if (target === victim || message === undefined) return;
    const isLetIn = this.bug?.letsOutsidersIn === true || (await this.isLetIn(target, victim));
    if (!isLetIn) cluster.figures.outsidersRefused++;
    else
      cluster.turns.inputAfter(1, target, (process: Process) =>
        process.receive({ from: victim.actor, to: target.actor, message, records: [] }),
      );
  }

  /** What the server makes of the outsider's handshake. */
  private async isLetIn(target: Host, victim: Host): Promise<boolean> {
    const key = NodeKey.generate();
    const self = { ...memberOf(target.actor), instance: key.instance };
    const door = new InboundStreams({
      clusterId: CLUSTER,
      self,
      key,
      membership: { versions: () => SPOKEN_VERSIONS, vouchers: () => [] },
      former: [],
      memory: { lastBoot: () => undefined, saw: async () => undefined },
    });
    door.setMembers([...this.cluster.hosts.keys()].map(memberOf));
    const hello = {
      ...memberOf(victim.actor),
      clusterId: CLUSTER,
      bootCounter: 1000,
      boots: ['f'.repeat(16)],
      versions: SPOKEN_VERSIONS,
      link: 'control',
      wanted: self,
    } as const;
    const handshake = new CallerHandshake(hello, this.own, 'Deliver');
    const headers = new Map<string, string>();
    const inbound = door.greet(callOf(handshake.metadata, headers), 'Deliver');
    handshake.takeHeaders((name) => headers.get(name));
    return await door.recognise(inbound, { signature: handshake.signature(), vouchers: [] }).then(
      () => true,
      () => false,
    );
  }

  /** Undefined where nothing runs that could be harmed. */
  private forged({ process }: Host): Message | undefined {
    const stream = process?.stream;
    if (stream === undefined) return undefined;
    const ahead = term(stream.group.term + this.between(0, 3));
    const { index } = stream.group.tail;
    const kind = this.between(0, 2);
    if (kind === 0) {
      const last = { lastIndex: logIndex(index + 5), lastTerm: ahead };
      return { type: 'vote-request', term: ahead, ...last, preVote: false, leadershipTransfer: true };
    }
    if (kind === 1) return { type: 'heartbeat', term: ahead, commitIndex: index, round: 1, quiesce: false };
    return {
      type: 'append-result',
      term: stream.group.term,
      accepted: true,
      index,
      hintIndex: logIndex(0),
      hintTerm: term(0),
    };
  }

  private any(): Host {
    const hosts = [...this.cluster.hosts.values()];
    return hosts[this.between(0, hosts.length - 1)] ?? this.cluster.any();
  }

  private between(low: number, high: number): number {
    return low + Math.floor(this.random() * (high - low + 1));
  }
}

function callOf(metadata: Readonly<Record<string, string>>, headers: Map<string, string>): CallContext {
  return {
    metadata: (name) => metadata[name],
    signal: new AbortController().signal,
    peer: 'outside:1',
    sentAfterMs: 0,
    setHeader: (name, value) => void headers.set(name, value),
    sendHeaders: () => undefined,
  };
}
