import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { actorId, type GroupId, groupId, seededRandom } from '../../src/base/index.js';
import { MACHINES } from '../../src/cluster/index.js';
import type { Storage } from '../../src/group/index.js';
import { systemClock } from '../../src/group/system-clock.js';
import { STREAM_KIND } from '../../src/machine/stream/index.js';
import { SimulatedDisk } from '../../src/sim/disk.js';
import { EventQueue } from '../../src/sim/event-queue.js';
import { type Disk, type LevelStorage, openStorage } from '../../src/storage/index.js';
import { nodeDisk } from '../../src/storage/level/node-disk.js';
import { FailingDisk } from '../storage/failing-disk.js';
import { CLUSTER, INCARNATION, membershipOf, scratchDirectory } from '../storage/fixture.js';
import { emptyGroupDisk, type GroupDisk, MemoryStorage } from '../support/memory-storage.js';

/** The groups that a storage under test has: empty, of actor 1 alone. */
export const GROUPS: readonly GroupId[] = [groupId(1), groupId(2)];

/** One implementation of the storage port, with what a test does to what is below it. */
export interface StorageUnderTest {
  readonly storage: Storage;
  /** Closes it, and opens what it has left. */
  reopen(): Promise<StorageUnderTest>;
  /** From now on nothing can be written. */
  breakDisk(): void;
}

export interface StorageImplementation {
  readonly name: string;
  open(t: TestContext): Promise<StorageUnderTest>;
}

/** Small segments, so that a log has many. */
const SEGMENT_BYTES = 8 * 1024;

export const STORAGES: readonly StorageImplementation[] = [
  {
    name: "LevelDB on the machine's disk",
    open: async (t) => {
      const disk = new FailingDisk(Number.POSITIVE_INFINITY);
      return await openLevel(t, { disk, breakDisk: () => (disk.changesLeft = 0) }, await scratchDirectory(t), true);
    },
  },
  {
    name: 'the same code on the simulated disk',
    open: async (t) => {
      const disk = simulatedDisk();
      const breakDisk = (): void => {
        disk.troubles.full = true;
      };
      return await openLevel(t, { disk, breakDisk }, '/node', true);
    },
  },
  {
    name: 'memory',
    open: async () => {
      const disk = (): GroupDisk => {
        const empty = emptyGroupDisk(membershipOf(1), STREAM_KIND);
        return { ...empty, checkpoint: { ...empty.checkpoint, incarnation: INCARNATION } };
      };
      return await Promise.resolve(openMemory(new Map(GROUPS.map((group) => [group, disk()]))));
    },
  },
];

/** A simulated disk whose operations end soon. */
export function simulatedDisk(): SimulatedDisk {
  const disk = new SimulatedDisk(new EventQueue(), seededRandom(1));
  disk.attach((_, run) => setImmediate(run));
  return disk;
}

export interface DiskImplementation {
  readonly name: string;
  /** An empty directory on it. */
  open(t: TestContext): Promise<{ readonly disk: Disk; readonly path: string }>;
}

export const DISKS: readonly DiskImplementation[] = [
  { name: "the machine's disk", open: async (t) => ({ disk: nodeDisk, path: await scratchDirectory(t) }) },
  {
    name: 'the simulated disk',
    open: async () => {
      const disk = simulatedDisk();
      await disk.makeDirectory('/here');
      return { disk, path: '/here' };
    },
  },
];

async function openLevel(
  t: TestContext,
  below: { readonly disk: Disk; readonly breakDisk: () => void },
  path: string,
  isNew: boolean,
): Promise<StorageUnderTest> {
  const { disk, breakDisk } = below;
  const groupsPath = join(path, 'groups');
  const identity = {
    format: 1,
    actor: actorId(1),
    instance: 'a'.repeat(32),
    secret: '',
    bootCounter: 1,
    boots: [],
  } as const;
  if (isNew) {
    if (path === '/node') await disk.makeDirectory(path);
    await disk.makeDirectory(groupsPath);
  }
  const directory = { path, groupsPath, identity: isNew ? identity : { ...identity, clusterId: CLUSTER } };
  const storage: LevelStorage = await openStorage({
    directory,
    clock: systemClock,
    machines: MACHINES,
    disk,
    segmentBytes: SEGMENT_BYTES,
  });
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    await storage.close();
  };
  // A test may have broken the disk.
  t.after(() => close().catch(() => undefined));
  if (isNew)
    for (const group of GROUPS)
      await storage.createGroup({ group, incarnation: INCARNATION, machine: 'stream', membership: membershipOf(1) });
  return {
    storage,
    breakDisk,
    reopen: async () => {
      await close();
      return await openLevel(t, below, path, false);
    },
  };
}

function openMemory(disks: Map<GroupId, GroupDisk>): StorageUnderTest {
  const storage = new MemoryStorage(disks);
  return {
    storage,
    breakDisk: () => storage.fail(new Error('the disk is broken')),
    reopen: async () => {
      await storage.close();
      return openMemory(disks);
    },
  };
}
