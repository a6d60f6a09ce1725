import { FlotillaError, LIMITS } from '../base/index.js';
import { MACHINES } from '../cluster/index.js';
import { systemClock } from '../group/index.js';
import {
  type BallastFile,
  ballastedDisk,
  type LevelStorage,
  type NodeDirectory,
  nodeDisk,
  openStorage,
  SpaceGuard,
  type StorageOptions,
} from '../storage/index.js';
import type { Logging } from '../telemetry/index.js';
import { FlotillaNode, type NodeParts } from './node.js';
import { observeHealing } from './observe-healing.js';

/** A node as whoever started it sees it. */
export type RunningNode = Pick<
  FlotillaNode,
  'actor' | 'address' | 'httpPort' | 'stop' | 'stopped' | 'streams' | 'service'
>;

/** What is made anew with each run of the node. */
type Made = 'storage' | 'space';

interface NodeRun extends Pick<NodeParts, Made> {
  readonly node: FlotillaNode;
}

/**
 * One node, which may begin anew while its process runs: where the others say
 * that its disk was rolled back, it sets its data aside and asks to be taken in
 * again, just as it does where a start finds its data damaged.
 */
export class NodeSupervisor implements RunningNode {
  readonly stopped: Promise<{ readonly error?: unknown }>;
  private readonly parts: Omit<NodeParts, Made>;
  private readonly segmentBytes: number;
  private readonly ballast: BallastFile;
  private settle: (outcome: { readonly error?: unknown }) => void = () => undefined;
  private current: NodeRun | undefined;
  private beginning: Promise<void> = Promise.resolve();
  private stopping = false;

  constructor(parts: Omit<NodeParts, Made>, segmentBytes: number, ballast: BallastFile) {
    this.parts = parts;
    this.segmentBytes = segmentBytes;
    this.ballast = ballast;
    this.stopped = new Promise((resolve) => {
      this.settle = resolve;
    });
  }

  get actor(): number {
    return this.parts.config.actor;
  }

  get address(): string {
    return this.current?.node.address ?? '';
  }

  get httpPort(): number | undefined {
    return this.current?.node.httpPort;
  }

  /** Of the present life; throws NOT_READY while the node begins anew. */
  get service(): FlotillaNode['service'] {
    if (this.current !== undefined) return this.current.node.service;
    throw new FlotillaError('NOT_READY', 'the node begins anew: try again');
  }

  get streams(): FlotillaNode['streams'] {
    return this.current?.node.streams;
  }

  /** Resolves once the node listens. */
  async begin(): Promise<void> {
    const { config, directory, logging } = this.parts;
    const opened: (() => Promise<void>)[] = [];
    try {
      let node: FlotillaNode | undefined;
      let guard: SpaceGuard | undefined;
      const storage = await this.openSoundStorage({
        onFailure: (error) => node?.fail(error),
        isDiskOk: () => guard?.pressure === 'ok',
      });
      opened.push(() => storage.close());
      const { minFreeBytes } = config;
      const { segmentBytes, ballast } = this;
      await ballast.leave(LIMITS.runningSpareBytes);
      await directory.noteStamped();
      const logger = logging.logger('storage');
      const space = await SpaceGuard.start({
        ballast,
        storage,
        clock: systemClock,
        logger,
        segmentBytes,
        minFreeBytes,
      });
      guard = space;
      opened.push(() => space.stop());
      const started = new FlotillaNode({ ...this.parts, storage, space });
      node = started;
      opened.push(() => started.abandon());
      await started.listen();
      this.current = { node: started, storage, space };
      void started.stopped.then((outcome) => this.ended(outcome));
    } catch (error) {
      for (const close of opened.reverse()) await close();
      throw error;
    }
  }

  async stop(reason: string): Promise<void> {
    this.stopping = true;
    await this.beginning;
    await this.current?.node.stop(reason);
    await this.stopped;
  }

  private ended(outcome: { readonly error?: unknown }): void {
    const { error } = outcome;
    if (this.stopping || !(error instanceof FlotillaError) || error.code !== 'ROLLED_BACK') this.settle(outcome);
    else this.beginning = this.beginAnew(error).catch((failure: unknown) => this.settle({ error: failure }));
  }

  private async beginAnew(why: FlotillaError): Promise<void> {
    await this.current?.node.abandon();
    await this.current?.space.stop();
    await this.current?.storage.close();
    this.current = undefined;
    await this.setAside(why);
    await this.begin();
  }

  /** Damage that bars voting is found here; where others have the data, the node begins anew. */
  private async openSoundStorage(hooks: Pick<StorageOptions, 'onFailure' | 'isDiskOk'>): Promise<LevelStorage> {
    const { directory, metrics, logging } = this.parts;
    const { segmentBytes } = this;
    const observer = observeHealing(metrics, logging.logger('storage'));
    const disk = ballastedDisk(nodeDisk, this.ballast);
    const options = { ...hooks, directory, clock: systemClock, machines: MACHINES, disk, segmentBytes, observer };
    try {
      return await openStorage(options);
    } catch (error) {
      if (!(error instanceof FlotillaError) || !barsVoting(error, directory)) throw error;
      await this.setAside(error);
      return await openStorage(options);
    }
  }

  private async setAside(why: FlotillaError): Promise<void> {
    const { directory, metrics, logging } = this.parts;
    const aside = await directory.beginAnew(why);
    metrics.newBeginnings.inc();
    logNewBeginning(logging, why.message, aside);
  }
}

/** The data is not what this node has acknowledged, or its identity is from before it was in a cluster. */
function barsVoting({ code }: FlotillaError, { identity }: NodeDirectory): boolean {
  return code === 'DATA_LOSS' || (code === 'FOREIGN_NODE' && identity.clusterId === undefined);
}

export function logNewBeginning(logging: Logging, reason: string, aside: string | undefined): void {
  const fields = { reason, ...(aside === undefined ? {} : { setAside: aside }) };
  logging
    .logger('storage')
    .error(
      fields,
      'the data of this node can not be relied on: it takes part no more as it was, and asks the others to be ' +
        'taken in anew',
    );
}
