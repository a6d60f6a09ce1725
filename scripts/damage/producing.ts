import { randomBytes } from 'node:crypto';
import type { FlotillaClient } from '../../src/client/index.js';
import { counterOf, type KnownEvent } from './answers.js';

/**
 * Size of one event: some segments are filled in a moment. Half of them can be compressed to nothing, half of them
 * hardly.
 */
const DATA_BYTES = 8 * 1024;
const dataOf = (number: number): string =>
  number % 2 === 0 ? 'x'.repeat(DATA_BYTES) : randomBytes(DATA_BYTES).toString('base64').slice(0, DATA_BYTES);
const NAMESPACES = 7;
/** At once: several are in one record, and of different namespaces, so that the index keeps copies. */
const TOGETHER = 15;
/** So many make more than a segment. */
export const MORE_THAN_A_SEGMENT = 10 * TOGETHER;
const KEPT_AFTER_TRIMMING = 200;
const TRIM_ABOVE = 700;

/** What was produced and acknowledged. */
export class ProducedEvents {
  private readonly client: FlotillaClient;
  private readonly acknowledged = new Map<string, KnownEvent>();
  private produced = 0;

  constructor(client: FlotillaClient) {
    this.client = client;
  }

  /** Ascending: the events that there are now. */
  get known(): KnownEvent[] {
    return [...this.acknowledged.values()].sort((a, b) => counterOf(a.id) - counterOf(b.id));
  }

  get total(): number {
    return this.produced;
  }

  async produce(count: number): Promise<void> {
    for (let left = count; left > 0; left -= TOGETHER) {
      const events = Array.from({ length: Math.min(TOGETHER, left) }, () => {
        const number = this.produced++;
        return { namespace: `/damage/${number % NAMESPACES}/events`, data: `${number}:${dataOf(number)}` };
      });
      await Promise.all(
        events.map(async ({ namespace, data }) => {
          const { firstId } = await this.client.produce({ namespace, data });
          this.acknowledged.set(firstId, { id: firstId, namespace, data });
        }),
      );
    }
  }

  /** Cuts the log's front: what is read stays small, and its begin has a checkpoint that can't be made again. */
  async trim(): Promise<void> {
    const before = this.known;
    const firstKept = before.at(-KEPT_AFTER_TRIMMING);
    if (firstKept === undefined) return;
    await this.client.setStream({ maxEvents: KEPT_AFTER_TRIMMING });
    for (;;) {
      const { firstId } = await this.client.stream();
      if (firstId !== null && counterOf(firstId) >= counterOf(firstKept.id)) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await this.client.setStream({ maxEvents: null });
    for (const { id } of before) if (counterOf(id) < counterOf(firstKept.id)) this.acknowledged.delete(id);
  }

  async trimIfLarge(): Promise<void> {
    if (this.acknowledged.size > TRIM_ABOVE) await this.trim();
  }
}
