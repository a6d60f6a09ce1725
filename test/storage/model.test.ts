import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { logIndex } from '../../src/base/index.js';
import {
  append,
  checksums,
  copyOf,
  GROUP,
  newNode,
  type OpenNode,
  openNode,
  RecordChain,
  readAll,
  scratchDirectory,
} from './fixture.js';

type Step =
  | { readonly kind: 'append'; readonly counts: readonly number[]; readonly bytes: number }
  | { readonly kind: 'truncate'; readonly back: number; readonly count: number }
  | { readonly kind: 'commit'; readonly back: number }
  | { readonly kind: 'read'; readonly from: number; readonly maxBytes: number }
  | { readonly kind: 'reopen' }
  | { readonly kind: 'crash' };

const count = fc.integer({ min: 1, max: 5 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      counts: fc.array(count, { minLength: 1, maxLength: 4 }),
      bytes: fc.integer({ min: 0, max: 2500 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('truncate' as const),
      back: fc.integer({ min: 0, max: 40 }),
      count: fc.integer({ min: 0, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('commit' as const), back: fc.integer({ min: 0, max: 20 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      from: fc.nat(1000),
      maxBytes: fc.integer({ min: 1, max: 20_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('crash' as const) }) },
);

const SEGMENT_BYTES = 6 * 1024;

/** The storage and what it should hold. */
class Pair {
  private readonly t: TestContext;
  private dir: string;
  private node: OpenNode;
  private readonly chain = new RecordChain();
  private committed = 0;
  private term = 1;

  constructor(t: TestContext, dir: string, node: OpenNode) {
    this.t = t;
    this.dir = dir;
    this.node = node;
  }

  async take(step: Step): Promise<void> {
    const last = this.chain.records.length;
    switch (step.kind) {
      case 'append':
        await Promise.all(
          step.counts.map((count) =>
            this.node.storage.persist(append(this.chain.addMany(count, { term: this.term, bytes: step.bytes }))),
          ),
        );
        return;
      case 'truncate': {
        const keep = Math.max(this.committed, last - step.back);
        this.term++;
        this.chain.truncate(keep);
        await this.node.storage.persist(append(this.chain.addMany(step.count, { term: this.term }), keep));
        return;
      }
      case 'commit':
        this.committed = Math.max(this.committed, last - step.back);
        this.node.storage.group(GROUP).noteCommitted(logIndex(this.committed));
        return;
      case 'read':
        if (last > 0) await this.read(1 + (step.from % last), step.maxBytes);
        return;
      case 'reopen':
        await this.node.close();
        return this.open();
      case 'crash':
        // What a kill leaves is what the files hold at this instant.
        this.dir = await copyOf(this.t, this.dir);
        await this.node.close();
        return this.open();
    }
  }

  async compare(): Promise<void> {
    assert.deepEqual(checksums(await readAll(this.node.storage)), checksums(this.chain.records));
  }

  async end(): Promise<void> {
    await this.node.close();
    await rm(this.dir, { recursive: true, force: true });
  }

  private async open(): Promise<void> {
    this.node = await openNode(undefined, this.dir, SEGMENT_BYTES);
    const { recovered } = this.node.storage.group(GROUP);
    assert.deepEqual(recovered.tail, this.chain.tail);
    assert.ok(recovered.commitIndex <= this.committed);
    const starts = this.chain.records.filter(({ term }, position) => term !== this.chain.records[position - 1]?.term);
    assert.deepEqual(
      recovered.termStarts,
      starts.map(({ term, index }) => ({ term, index })),
    );
  }

  private async read(from: number, maxBytes: number): Promise<void> {
    const records = await this.node.storage
      .group(GROUP)
      .read(logIndex(from), logIndex(this.chain.records.length), maxBytes);
    const expected = [];
    let bytes = 0;
    for (const record of this.chain.records.slice(from - 1)) {
      bytes += record.bytes.byteLength;
      if (bytes > maxBytes && expected.length > 0) break;
      expected.push(record);
    }
    assert.deepEqual(checksums(records), checksums(expected));
  }
}

test('the storage does what a list of records does', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      const dir = await scratchDirectory(t);
      const pair = new Pair(t, dir, await newNode(t, dir, SEGMENT_BYTES));
      try {
        for (const one of steps) await pair.take(one);
        await pair.compare();
        await pair.take({ kind: 'reopen' });
        await pair.compare();
      } finally {
        await pair.end();
      }
    }),
    { numRuns: 15 },
  );
});
