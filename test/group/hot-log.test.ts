import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { groupId, logIndex, term } from '../../src/base/index.js';
import { CacheBudget } from '../../src/group/cache-budget.js';
import { HotLog } from '../../src/group/hot-log.js';
import type { GroupObserver } from '../../src/group/observer.js';
import type { StateMachine } from '../../src/machine/index.js';
import { emptyGroupDisk, MemoryStorage } from '../support/memory-storage.js';

const GROUP = groupId(1);
const unobserved = {} as GroupObserver;

function newLog(cacheBytes: number): { storage: MemoryStorage; log: HotLog } {
  const storage = new MemoryStorage(
    new Map([[GROUP, emptyGroupDisk({ voters: [], outgoing: [], learners: [], members: [] }, NOTHING)]]),
  );
  return { storage, log: new HotLog(storage.group(GROUP), new CacheBudget(cacheBytes), unobserved) };
}

/** What runs on the group does not matter here. */
const NOTHING_APPLIED: StateMachine = {
  appliedIndex: logIndex(0),
  expendableIndex: logIndex(0),
  apply: () => undefined,
  encode: () => new Uint8Array(0),
};
const NOTHING = { initial: () => NOTHING_APPLIED, decode: () => NOTHING_APPLIED };

test('indexOfTime is that of the plain list, whatever is in memory and whatever is stored', async () => {
  const write = fc.record({ timestampMs: fc.nat(20), isEvents: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(
      fc.array(write, { maxLength: 20 }),
      fc.nat(20),
      fc.nat(10_000),
      fc.nat(20),
      async (writes, stored, cacheBytes, cut) => {
        const { storage, log } = newLog(cacheBytes);
        const records = writes.map(({ timestampMs, isEvents }) =>
          isEvents
            ? log.seal({ kind: 'events', term: term(0), eventCount: 1, payloadBytes: 48, appendedMs: timestampMs })
            : log.seal({ kind: 'no-op', term: term(0), eventCount: 0, payloadBytes: 48 }),
        );
        const durable = records.slice(0, stored);
        await storage.persist([{ group: GROUP, records: durable }]);
        log.evict(logIndex(durable.length));
        const begin = durable[Math.min(cut, durable.length) - 1];
        if (begin !== undefined) log.beginAfter({ ...begin, nextCounter: begin.firstCounter });
        for (let time = 0; time <= 21; time++) {
          let latest = 0;
          const expected = records.find(({ index, kind }, position) => {
            if (kind === 'events') latest = Math.max(latest, writes[position]?.timestampMs ?? 0);
            return index > (begin?.index ?? 0) && latest >= time;
          });
          assert.equal(await log.indexOfTime(({ timeMs }) => timeMs >= time), expected?.index, `time ${time}`);
        }
      },
    ),
  );
});
