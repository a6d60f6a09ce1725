/** Which test files run when, as paths from the root. A name that ends in a slash is a folder. */

/**
 * `npm run test:long`: searches at random, many kills and power cuts, upgrades, damage, and what else takes its time.
 * All others are `npm test`.
 */
export const LONG = [
  'test/cluster/addresses.test.ts',
  'test/cluster/chaos.test.ts',
  'test/cluster/damage.test.ts',
  'test/cluster/event-loop.test.ts',
  'test/cluster/long-pause.test.ts',
  'test/cluster/many-groups.test.ts',
  'test/cluster/membership.test.ts',
  'test/cluster/minority.test.ts',
  'test/cluster/partition.test.ts',
  'test/cluster/power-cut.test.ts',
  'test/cluster/recover.test.ts',
  'test/cluster/replaced-member.test.ts',
  'test/cluster/slow-consumer.test.ts',
  'test/cluster/upgrade.test.ts',
  'test/offline/force-new-cluster.test.ts',
  'test/sim/coverage.test.ts',
  'test/sim/planted-bugs.test.ts',
  'test/storage/crash.test.ts',
  'test/storage/log/log-begin.test.ts',
];

/** What `unit` leaves out: it starts processes or servers, waits for a disk again and again, or searches at random. */
export const SLOW = [
  'test/cli/',
  'test/client/produce/produce.test.ts',
  'test/client/read/log-reader.test.ts',
  'test/client/read/read.test.ts',
  'test/client/released.test.ts',
  'test/cluster/',
  'test/contract/',
  'test/house/',
  'test/offline/',
  'test/package/',
  'test/peer/formation.test.ts',
  'test/peer/founding-random.test.ts',
  'test/peer/links.test.ts',
  'test/rpc/',
  'test/sim/',
  'test/storage/crash.test.ts',
  'test/storage/directory/node-directory.test.ts',
  'test/storage/group/group-store.test.ts',
  'test/storage/level/',
  'test/storage/log/log-begin.test.ts',
  'test/storage/log/log-recovery.test.ts',
  'test/storage/log/overlap.test.ts',
  'test/storage/log/segment-repairs.test.ts',
  'test/storage/machine-kinds.test.ts',
  'test/storage/model.test.ts',
  'test/storage/namespace-index/',
  'test/storage/storage.test.ts',
];
/**
 * Files of test/cluster that wait for nodes much more than they make them work. Those that take longest come first, so
 * that none is the last one alone.
 */
export const PATIENT = [
  'power-cut',
  'recover',
  'upgrade',
  'formation',
  'addresses',
  'backup',
  'bad-commands',
  'bad-requests',
  'damage',
  'grpc',
  'long-pause',
  'many-groups',
  'minority',
  'outsiders',
  'paused-leader',
  'producers',
  'read-your-writes',
  'replaced-member',
  'retention',
  'scrape',
  'three-nodes-example',
  'walkthrough',
  'watchdog',
].map((name) => `test/cluster/${name}.test.ts`);
/** Keeps two processors busy for minutes by itself, in processes of its own. */
export const BUSY = 'test/sim/coverage.test.ts';
