import type { ActorId, Random } from '../base/index.js';
import type { NodeIdentity } from '../storage/index.js';
import { SimulatedDisk } from './disk.js';
import { SimulatedDirectory } from './disk-tree.js';
import type { EventQueue } from './event-queue.js';
import { memberOf, type NodeFolder } from './node-folder.js';
import type { ObservedNode } from './observed-node.js';
import type { Process } from './process.js';

/**
 * How much is left of what a host had promised: `whole`, `damaged` (something
 * was changed on its disk) or `lost` (it has said so, and does not come back).
 */
export type Condition = 'whole' | 'damaged' | 'lost';

/** A host: its disk, its clock, and the process on it, if one runs. */
export class Host {
  readonly actor: ActorId;
  readonly disk: SimulatedDisk;
  readonly folder: NodeFolder;
  readonly observed: ObservedNode;
  /** How fast its clock goes. */
  readonly clockRate: number;
  condition: Condition = 'whole';
  process: Process | undefined;
  /** Time stands still for the process until then: it was stopped, or its event loop is busy. */
  pausedUntilMs = 0;

  constructor(actor: ActorId, observed: ObservedNode, queue: EventQueue, random: Random) {
    this.actor = actor;
    this.observed = observed;
    this.disk = new SimulatedDisk(queue, random);
    this.clockRate = 0.8 + 0.4 * random();
    const node = new SimulatedDirectory();
    node.make('groups', new SimulatedDirectory());
    node.sync();
    this.disk.root.make('node', node);
    this.disk.root.sync();
    const identity: NodeIdentity = {
      format: 1,
      actor,
      instance: memberOf(actor).instance,
      secret: '',
      bootCounter: 1,
      boots: [],
    };
    this.folder = { path: '/node', groupsPath: '/node/groups', identity };
  }
}
