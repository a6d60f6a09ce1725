import { setTimeout as sleep } from 'node:timers/promises';
import { FlotillaError } from '../../src/base/index.js';
import { proto } from '../../src/wire/index.js';
import { type ClusterNode, type EventClient, readThrough } from './cluster-node.js';
import { until } from './until.js';

const READ_PERIOD_MS = 50;
/** Reads that wait at a node that does not answer. */
const READS_UNDER_WAY_MAX = 200;
/** After so many reads the next ones begin at what was newest before them. */
const READS_PER_BEGINNING = 20;

/** The newest event that any producer has been told of. */
export class Newest {
  id = '';

  get counter(): number {
    return counterOf(this.id);
  }

  acknowledged(id: string): void {
    if (counterOf(id) > this.counter) this.id = id;
  }
}

/**
 * Puts one consistent read after another to one node, whether it answers or
 * not, and holds each against what was acknowledged before it was sent. Made
 * when something has been acknowledged.
 */
export class ConsistentReader {
  readonly node: ClusterNode;
  /** What was wrong, in words. */
  readonly stale: string[] = [];
  answered = 0;
  private refused = 0;
  private readonly newest: Newest;
  /** Where reads begin: acknowledged a while ago, so whoever does not know it is stale. */
  private beginning: string;
  private nextBeginning: string;
  private readonly expectations = new Set<{ readonly counter: number }>();
  private client: EventClient;
  private readonly reading: Promise<void>;
  private stopping = false;

  constructor(node: ClusterNode, newest: Newest) {
    this.node = node;
    this.newest = newest;
    this.beginning = newest.id;
    this.nextBeginning = newest.id;
    this.client = node.connect();
    this.reading = this.readOn();
    // Its failure is told by stop().
    this.reading.catch(() => undefined);
  }

  async answers(reads: number): Promise<void> {
    const goal = this.answered + reads;
    await until(`node ${this.node.actor} answers ${reads} more reads`, () => this.answered >= goal);
  }

  /** How many reads under way must see this counter. */
  waitFor(counter: number): number {
    return [...this.expectations].filter((expected) => expected.counter >= counter).length;
  }

  /** Resolves with how many reads were not answered. */
  async stop(): Promise<number> {
    this.stopping = true;
    await this.reading;
    this.client.close();
    return this.refused;
  }

  private async readOn(): Promise<void> {
    const reads = new Set<Promise<void>>();
    for (let number = 1; !this.stopping; number++) {
      if (reads.size < READS_UNDER_WAY_MAX) {
        const read = this.readOnce().finally(() => reads.delete(read));
        reads.add(read);
      }
      if (number % READS_PER_BEGINNING === 0) {
        this.beginning = this.nextBeginning;
        this.nextBeginning = this.newest.id;
      }
      await sleep(READ_PERIOD_MS);
    }
    await Promise.all(reads);
  }

  private async readOnce(): Promise<void> {
    const { beginning, client } = this;
    const expected = { counter: this.newest.counter };
    this.expectations.add(expected);
    try {
      const events = await readThrough(client, { consistency: proto.Consistency.CONFIRMED, startAfter: beginning });
      const last = counterOf(events.at(-1)?.id ?? beginning);
      if (last < expected.counter)
        this.stale.push(`a read ended with counter ${last}, and ${expected.counter} was acknowledged before it`);
      this.answered++;
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      if (error.code === 'POSITION_MISMATCH') this.stale.push(`${error.message}: but it was acknowledged`);
      this.refused++;
      this.connectAgain(client);
    } finally {
      this.expectations.delete(expected);
    }
  }

  /** A channel that has lost its node would wait longer and longer before it looks for it again. */
  private connectAgain(lost: EventClient): void {
    if (this.client !== lost || this.stopping) return;
    lost.close();
    this.client = this.node.connect();
  }
}

function counterOf(id: string): number {
  return Number(id.slice(0, 20));
}
