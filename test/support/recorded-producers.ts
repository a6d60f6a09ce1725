import assert from 'node:assert/strict';
import { ERRORS, FlotillaError } from '../../src/base/index.js';
import type { EventInput, Receipt } from '../../src/client/index.js';
import type { DumpedEvent } from './cluster-node.js';
import { until } from './until.js';

interface Acknowledged {
  readonly id: string;
  readonly counter: number;
}

/**
 * Produces event after event, each with data of its own, and records what the
 * producer was told of it: what a correct cluster may hold afterwards follows
 * from that alone.
 */
export class RecordedProducers {
  readonly acknowledged = new Map<string, Acknowledged>();
  /** Refused, and certainly not in the stream. */
  readonly refused = new Map<string, FlotillaError>();
  /** Perhaps in the stream. */
  readonly unknown = new Map<string, FlotillaError>();
  private readonly produce: (event: EventInput) => Promise<Receipt>;
  private readonly name: string;
  private readonly workers: Promise<void>[];
  private highestCounter = 0;
  private sent = 0;
  private stopping = false;

  /** So many workers, each awaiting one receipt before its next event. */
  constructor(
    produce: (event: EventInput) => Promise<Receipt>,
    options: { readonly workers: number; readonly name?: string },
  ) {
    this.produce = produce;
    this.name = options.name ?? 'event';
    this.workers = Array.from({ length: options.workers }, () => this.work());
    // Their failure is told by stop(); until then it must not count as unhandled.
    for (const worker of this.workers) worker.catch(() => undefined);
  }

  /** Waits until so many more have been acknowledged. */
  async progress(events: number): Promise<void> {
    const goal = this.acknowledged.size + events;
    await until(`${events} more events are acknowledged`, () => this.acknowledged.size >= goal, {
      state: () =>
        `${this.acknowledged.size} of ${goal} acknowledged, ${this.refused.size} refused, ${this.unknown.size} unknown`,
    });
  }

  /** No further events; resolves when each has its answer. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.workers);
  }

  /** Holds all that a node gives out against what the producers were told. */
  verify(dump: readonly DumpedEvent[]): void {
    const times = new Map<string, number>();
    for (const [position, { id, namespace, data }] of dump.entries()) {
      assert.equal(counterOf(id), position + 1, `the counters have no gap: ${id} is event ${position + 1}`);
      if (namespace === `/${this.name}`) times.set(data, (times.get(data) ?? 0) + 1);
    }
    for (const [data, { id, counter }] of this.acknowledged) {
      assert.equal(dump[counter - 1]?.id, id, `${data} was acknowledged as ${id}`);
      assert.equal(dump[counter - 1]?.data, data, `${id} is what was acknowledged under it`);
      assert.equal(times.get(data), 1, `${data} is there once`);
    }
    for (const [data, error] of this.refused)
      assert.equal(times.get(data), undefined, `${data} was refused: ${error.message}`);
    for (const data of times.keys()) {
      assert.ok(this.acknowledged.has(data) || this.unknown.has(data), `${data} is there, and nobody produced it`);
      assert.equal(times.get(data), 1, `${data} is there more than once`);
    }
  }

  private async work(): Promise<void> {
    while (!this.stopping) {
      const data = `${this.name}-${this.sent++}`;
      const before = this.highestCounter;
      try {
        const receipt = await this.produce({ namespace: `/${this.name}`, data });
        const counter = counterOf(receipt.id);
        // Real-time order: whatever was acknowledged before this was sent has a smaller id.
        assert.ok(counter > before, `${receipt.id} was sent after counter ${before} was acknowledged`);
        this.highestCounter = Math.max(this.highestCounter, counter);
        this.acknowledged.set(data, { id: receipt.id, counter });
      } catch (error) {
        if (!(error instanceof FlotillaError)) throw error;
        if (ERRORS[error.code].retryable) this.refused.set(data, error);
        else if (ERRORS[error.code].exit === 4) this.unknown.set(data, error);
        else throw error;
      }
    }
  }
}

function counterOf(id: string): number {
  return Number(id.slice(0, 20));
}
