import { assert, present } from '../../src/base/index.js';
import type { MemberChange, Message } from '../../src/raft/index.js';
import { Cluster, type ClusterOptions, SETTINGS } from './cluster.js';
import type { CoreNode, Packet } from './core-node.js';

/**
 * Runs a transcript: commands, `----`, and under it what they led to. A line
 * that begins with `#` is a remark. The language:
 *
 *     cluster VOTER… [outgoing=2,3] [learners=4] [spares=5] [append=1] [quiescence=on]
 *                             first command; spares are no members, and so many entries fit into an append
 *     with N terms=1,1,2 [term=3] [vote=1] [commit=1]   before `cluster`: what is on the disk of N
 *     tick MS [N…]            time passes for all; N (all without) look at the clock
 *     campaign N              goes on to when N's election is due
 *     deliver [FROM TO]       what is on its way now, on that link only
 *     persist N…              the write under way at N ends
 *     settle                  delivers and persists until nothing moves; shows only where it ended
 *     propose N DATA          read N ID          transfer N [TO]
 *     change N +4 ~5 -2       N is to make 4 a voter and 5 a learner, and to remove 2
 *     link N PEER open|closed|refused      presence N PEER present|silent
 *     drop [FROM TO]          loses what is on its way
 *     cut N [TO]   heal       links that carry nothing: all of N, or one direction
 *     crash N [PARTS]   start N   so many parts of its write under way are on disk
 *     state                   every server
 */
export class Transcript {
  private readonly disks: NonNullable<ClusterOptions['disks']> = {};
  private cluster: Cluster | undefined;
  private lines: string[] = [];
  private quiet = false;

  /** The transcript with the output that the commands have now. */
  run(text: string): string {
    const sections = text.trimEnd().split(/\n\n+/);
    return `${sections.map((section) => this.runSection(section)).join('\n\n')}\n`;
  }

  private runSection(section: string): string {
    const commands = section.split('\n----')[0] ?? '';
    this.lines = [];
    for (const line of commands.split('\n')) {
      if (line !== '' && !line.startsWith('#')) this.runCommand(line);
    }
    const isRemark = commands.split('\n').every((line) => line.startsWith('#'));
    return isRemark ? commands : [commands, '----', ...(this.lines.length > 0 ? this.lines : ['nothing'])].join('\n');
  }

  private runCommand(line: string): void {
    const [name = '', ...words] = line.split(' ');
    const options = new Map(
      words
        .filter((word) => word.includes('='))
        .map((word): [string, string] => [word.split('=')[0] ?? '', word.split('=')[1] ?? '']),
    );
    const args = words.filter((word) => !word.includes('='));
    const numbers = args.map(Number);
    if (name === 'with') this.prepare(numbers, options);
    else if (name === 'cluster') this.begin(numbers, options);
    else this.runOnCluster(line, name, args, numbers);
  }

  private runOnCluster(line: string, name: string, args: readonly string[], numbers: readonly number[]): void {
    const run = present(COMMANDS[name], `no such command: ${line}`);
    const cluster = present(this.cluster, 'a transcript begins with a cluster');
    this.quiet = name === 'settle';
    const readsBefore = this.reads();
    run(cluster, numbers, args, (said) => this.lines.push(said));
    this.quiet = false;
    this.lines.push(...this.reads().slice(readsBefore.length));
    if (name === 'settle' || name === 'state')
      this.lines.push(...[...cluster.nodes.values()].sort((a, b) => a.self - b.self).map(describeNode));
  }

  private prepare([actor]: number[], options: Map<string, string>): void {
    const number = (key: string): number | undefined => (options.has(key) ? Number(options.get(key)) : undefined);
    const [term, vote, commitIndex] = [number('term'), number('vote'), number('commit')];
    Object.assign(this.disks, {
      [present(actor, 'which node?')]: {
        terms: numbersOf(options.get('terms')),
        ...(term === undefined ? {} : { term }),
        ...(vote === undefined ? {} : { vote }),
        ...(commitIndex === undefined ? {} : { commitIndex }),
      },
    });
  }

  private begin(voters: number[], options: Map<string, string>): void {
    const cluster = new Cluster(voters, {
      outgoing: numbersOf(options.get('outgoing')),
      learners: numbersOf(options.get('learners')),
      spares: numbersOf(options.get('spares')),
      entriesPerAppend: Number(options.get('append') ?? 3),
      disks: this.disks,
      settings: { ...SETTINGS, quiescence: options.get('quiescence') === 'on' },
    });
    cluster.onSent = (packet) => this.say(describePacket(packet));
    cluster.onWrite = (node) => this.say(describeWrite(node));
    this.cluster = cluster;
    this.lines.push(...[...cluster.nodes.values()].map(describeNode));
  }

  private say(line: string): void {
    if (!this.quiet) this.lines.push(line);
  }

  private reads(): string[] {
    return [...(this.cluster?.nodes.values() ?? [])].flatMap(({ self, reads }) =>
      reads.map(({ requestId, index }) =>
        index === 0 ? `${self}: read ${requestId} is not confirmed` : `${self}: read ${requestId} is safe at ${index}`,
      ),
    );
  }
}

type Command = (
  cluster: Cluster,
  numbers: readonly number[],
  args: readonly string[],
  say: (line: string) => void,
) => void;

const ROLES: Readonly<Record<string, MemberChange['to']>> = { '+': 'voter', '~': 'learner', '-': 'removed' };

const COMMANDS: Readonly<Record<string, Command>> = {
  change(cluster, [actor = 0], [, ...changes], say) {
    const named = changes.map((word) => [present(ROLES[word.charAt(0)], word), Number(word.slice(1))] as const);
    if (cluster.change(actor, ...named) === undefined) say(`${actor}: refused`);
  },
  tick: (cluster, [ms = 0, ...actors]) => cluster.tick(ms, ...actors),
  campaign: (cluster, [actor = 0]) => cluster.campaign(actor),
  deliver: (cluster, [from, to]) => cluster.deliver(from, to),
  persist: (cluster, actors) => {
    for (const actor of actors) cluster.persist(actor);
  },
  settle: (cluster) => cluster.settle(),
  propose(cluster, [actor = 0], [, data = ''], say) {
    if (cluster.propose(actor, data) === undefined) say(`${actor}: refused`);
  },
  read(cluster, [actor = 0, requestId = 0], _, say) {
    if (!cluster.readIndex(actor, requestId)) say(`${actor}: knows no leader`);
  },
  transfer(cluster, [actor = 0, to], _, say) {
    if (!cluster.transfer(actor, to)) say(`${actor}: refused`);
  },
  link(cluster, [actor = 0, peer = 0], [, , state = '']) {
    assert(state === 'open' || state === 'closed' || state === 'refused', `no such state of a link: ${state}`);
    cluster.link(actor, peer, state);
  },
  presence(cluster, [actor = 0, peer = 0], [, , state = '']) {
    assert(state === 'present' || state === 'silent', `no such state of a node: ${state}`);
    cluster.presence(actor, peer, state);
  },
  drop: (cluster, [from, to]) => cluster.drop(from, to),
  cut: (cluster, [actor = 0, to]) => cluster.cut(actor, to),
  'begin-after': (cluster, [actor = 0, index = 0]) => cluster.cutLog(actor, index),
  heal: (cluster) => cluster.heal(),
  crash: (cluster, [actor = 0, operations = 0]) => cluster.crashed(actor, operations),
  start: (cluster, [actor = 0]) => cluster.restart(actor),
  state: () => undefined,
};

function numbersOf(list: string | undefined): number[] {
  return list === undefined || list === '' ? [] : list.split(',').map(Number);
}

function describeNode({ self, core, entries }: CoreNode): string {
  const kept = entries.slice(core.beginIndex).map((entry) => `${entry.term}:${entry.data}`);
  const log = [...(core.beginIndex > 0 ? [`after ${core.beginIndex}:`] : []), ...kept].join(' ');
  const following = core.role === 'follower' ? ` of ${core.leader ?? 'none'}` : '';
  return (
    `${self}: ${core.isQuiesced ? 'quiesced ' : ''}${core.role}${following} term=${core.term} ` +
    `commit=${core.commitIndex} durable=${core.durableIndex} log=[${log}]`
  );
}

function describeWrite({ self, writeUnderWay }: CoreNode): string {
  const { step, entries } = present(writeUnderWay, 'a write has begun');
  const parts = [
    step.hardState === undefined ? '' : `term=${step.hardState.term} vote=${step.hardState.vote ?? 'none'}`,
    step.snapshotIndex === undefined ? '' : `snapshot ${step.snapshotIndex}`,
    step.truncateAfter === undefined ? '' : `truncate after ${step.truncateAfter}`,
    entries.length === 0 ? '' : `entries ${step.fromIndex}-${step.throughIndex}`,
  ];
  return `${self} writes ${parts.filter((part) => part !== '').join(', ')}`;
}

function describePacket({ from, to, message, entries }: Packet): string {
  const carried = entries.map((entry) => `${entry.term}:${entry.data}`).join(' ');
  const body = `${describeMessage(message)}${carried === '' ? '' : ` [${carried}]`}`;
  return `${from}->${to} ${message.type} term=${message.term} ${body}`.trimEnd();
}

function describeMessage(message: Message): string {
  switch (message.type) {
    case 'vote-request':
      return [
        `last=${message.lastIndex}/${message.lastTerm}`,
        ...(message.preVote ? ['pre-vote'] : []),
        ...(message.leadershipTransfer ? ['transfer'] : []),
      ].join(' ');
    case 'vote-response':
      return `${message.granted ? 'granted' : 'refused'}${message.preVote ? ' pre-vote' : ''}`;
    case 'append':
      return `after=${message.previousIndex}/${message.previousTerm} commit=${message.commitIndex}`;
    case 'append-result':
      return message.accepted
        ? `durable=${message.index}`
        : `refused=${message.index} hint=${message.hintIndex}/${message.hintTerm}`;
    case 'heartbeat':
      return `commit=${message.commitIndex} round=${message.round}${message.quiesce ? ' quiesce' : ''}`;
    case 'heartbeat-result':
      return `round=${message.round}${message.quiesced ? ' quiesced' : ''}`;
    case 'read-index-request':
      return `id=${message.requestId}`;
    case 'read-index-response':
      return `id=${message.requestId} index=${message.index}`;
    case 'timeout-now':
      return '';
    case 'snapshot':
      return (
        `of=${message.index}/${message.indexTerm} ` +
        `bytes=${message.offset}+${message.data.byteLength}/${message.totalBytes}`
      );
    case 'snapshot-result':
      return `of=${message.index} received=${message.receivedBytes}`;
  }
}
