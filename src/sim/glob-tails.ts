import { advanced, FlotillaError, type LogIndex, logIndex, type Random } from '../base/index.js';
import { compileGlob, type Event, type Glob } from '../event/index.js';
import type { LogMatches, Stream } from '../stream/index.js';
import { batchesOf, eventsOf, type LogRecord, selectEvents } from '../wire/index.js';
import type { Cluster } from './cluster.js';
import type { Host } from './host.js';
import type { Process } from './process.js';
import { Violation } from './violation.js';

const TAILS = 2;
const GLOBS = ['/w/plain/b*', '/w/*/[a-c]', '/w/plain/g', '/w/**'];
/** How often one goes elsewhere though it gets on. */
const MOVES = 0.1;
const PROPERTY = 'a tail with a glob sees what it matches: all, in order, none twice';

/**
 * Consumers that tail with a glob. The numbers come from a source of their own: they change nothing for others but what
 * they cost.
 */
export class GlobTails {
  private readonly tails: readonly GlobTail[];

  constructor(cluster: Cluster, random: Random) {
    const expected = new ExpectedEvents(cluster);
    this.tails = Array.from(
      { length: TAILS },
      (_, at) => new GlobTail({ cluster, random, expected, beginsAnew: at === 0 }),
    );
  }

  begin(): void {
    for (const tail of this.tails) tail.begin();
  }

  /** Whether each has been given everything that is committed. */
  get haveAll(): boolean {
    return this.tails.every(({ hasAll }) => hasAll);
  }

  end(): void {
    for (const tail of this.tails) tail.end();
  }
}

/**
 * One that stays with a node as long as it gets on there, and goes to another one when it does not, as a client does.
 */
class GlobTail {
  private readonly cluster: Cluster;
  private readonly random: Random;
  private readonly expected: ExpectedEvents;
  private readonly glob: Glob;
  /** Whether it wants all there is, again and again; else it stays at the end of the log. */
  private readonly beginsAnew: boolean;
  /** The record to go on with. */
  private next = logIndex(1);
  /** What it was when it was last looked at. */
  private seen = logIndex(1);
  private session = new AbortController();
  private ended = false;

  constructor(options: { cluster: Cluster; random: Random; expected: ExpectedEvents; beginsAnew: boolean }) {
    this.cluster = options.cluster;
    this.random = options.random;
    this.expected = options.expected;
    this.beginsAnew = options.beginsAnew;
    this.glob = compileGlob(GLOBS[this.below(GLOBS.length)] ?? '');
  }

  get hasAll(): boolean {
    return this.next > this.cluster.history.records.length;
  }

  begin(): void {
    this.cluster.after(30 + this.below(170), () => this.look());
  }

  end(): void {
    this.ended = true;
    this.session.abort();
  }

  private look(): void {
    if (this.ended) return;
    this.begin();
    const isStuck = this.next === this.seen && !this.hasAll;
    this.seen = this.next;
    if (isStuck || this.random() < MOVES) this.attach();
  }

  private attach(): void {
    this.session.abort();
    this.session = new AbortController();
    const { signal } = this.session;
    const { cluster } = this;
    const running = [...cluster.hosts.values()].filter(({ process }) => process !== undefined);
    // What a node is told to be committed before its own disk has it is seen by those that read there.
    const slow = running.filter(({ disk }) => disk.troubles.syncDelayMs !== undefined);
    const hosts = slow.length > 0 && this.random() < 0.5 ? slow : running;
    const host = hosts[this.below(hosts.length)];
    if (this.beginsAnew && !cluster.calm) this.next = logIndex(1);
    if (host !== undefined) cluster.turns.inputAfter(0, host, (process) => void this.follow(host, process, signal));
  }

  /** Never rejects. */
  private async follow(host: Host, { stream }: Process, signal: AbortSignal): Promise<void> {
    if (stream === undefined) return;
    try {
      await this.followAt(stream, host, signal);
    } catch (error) {
      const isOver = error instanceof FlotillaError && (error.code !== 'DATA_LOSS' || host.condition !== 'whole');
      if (isOver) return;
      this.cluster.defer(() => {
        throw error;
      });
    }
  }

  private async followAt(stream: Stream, host: Host, signal: AbortSignal): Promise<void> {
    const reads = stream.byNamespace().matching(this.glob);
    while (!signal.aborted) {
      await stream.group.waitCommitted(this.next, signal);
      if (signal.aborted) return;
      // What was given up meanwhile is not there to be had.
      const from = logIndex(Math.max(this.next, stream.group.begin.index + 1));
      if (from > stream.group.commitIndex) return;
      const found = await reads.next(from, stream.group.commitIndex);
      if (signal.aborted) return;
      this.next = advanced(from, logIndex(found.through + 1), 'a tail with a glob');
      this.compare(host, from, found);
    }
  }

  private compare({ actor }: Host, from: LogIndex, found: LogMatches): void {
    const { figures } = this.cluster;
    const given = this.eventsIn(found).map(textOf);
    figures.globEvents += given.length;
    if (found.kind === 'events' || found.records.at(-1)?.index !== found.through) figures.indexAnswers++;
    this.cluster.defer(() => {
      const expected = this.expected.between(from, found.through, this.glob);
      if (given.length === expected.length && given.every((text, at) => text === expected[at])) return;
      throw new Violation(
        PROPERTY,
        `${actor} gave out for ${this.glob.pattern}, of the records ${from} to ${found.through}: ` +
          `[${given.join(', ')}] and not [${expected.join(', ')}]`,
      );
    });
  }

  private eventsIn(found: LogMatches): Event[] {
    if (found.kind === 'records') return found.records.flatMap((record) => matchesIn(record, this.glob));
    const events = found.gathered.flatMap((pack) => pack.toEvents());
    return found.ordered ? events : events.sort((left, right) => left.id.counter - right.id.counter);
  }

  private below(count: number): number {
    return Math.floor(this.random() * count);
  }
}

/** What the committed records hold, by record; each is opened once. */
class ExpectedEvents {
  private readonly cluster: Cluster;
  private readonly known: { readonly namespace: string; readonly text: string }[][] = [];

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  between(from: LogIndex, through: LogIndex, glob: Glob): string[] {
    const texts: string[] = [];
    for (let index = from; index <= through; index = logIndex(index + 1)) {
      for (const { namespace, text } of this.at(index)) if (glob.matches(namespace)) texts.push(text);
    }
    return texts;
  }

  private at(index: LogIndex): { readonly namespace: string; readonly text: string }[] {
    const known = this.known[index];
    if (known !== undefined) return known;
    const record = this.cluster.history.records[index - 1];
    if (record === undefined) throw new Violation(PROPERTY, `record ${index} was given out, and is committed nowhere`);
    const events = record.kind === 'events' ? batchesOf(record).flatMap((batch) => eventsOf(batch)) : [];
    const found = events.map((event) => ({ namespace: event.namespace, text: textOf(event) }));
    this.known[index] = found;
    return found;
  }
}

function matchesIn(record: LogRecord, glob: Glob): Event[] {
  if (record.kind !== 'events') return [];
  return batchesOf(record).flatMap((batch) => eventsOf(batch, selectEvents(batch, glob, 0, Number.POSITIVE_INFINITY)));
}

function textOf({ id, namespace, timestampMs, data }: Event): string {
  return `${id.counter}.${id.actor} ${namespace} ${timestampMs} ${Buffer.from(data).toString('latin1')}`;
}
