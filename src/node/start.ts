import { LIMITS } from '../base/index.js';
import { diskSpaceOf, nodePathOf, openNodeDirectory, openStorage, releaseReserveBelow, SpaceGuard, withReserve } from '../storage/index.js';
import type { Logging, Metrics } from '../telemetry/index.js';
import { systemClock } from './clock.js';
import type { ServerConfig } from './config/index.js';
import { FlotillaNode, type NodeParts } from './node.js';

/** A node as whoever started it sees it. */
export type RunningNode = Pick<FlotillaNode, 'actor' | 'address' | 'httpPort' | 'stop' | 'stopped'>;

/**
 * Starts a node. Resolves once it listens; forming the cluster, or finding its
 * leader, goes on from there, and /readyz tells how far it is. Rejects with a
 * FlotillaError that says what to do. `internals`: for tests.
 */
export async function startNode(
  config: ServerConfig,
  logging: Logging,
  metrics: Metrics,
  internals: Pick<NodeParts, 'versions' | 'furtherGroups'> = {},
): Promise<FlotillaNode> {
  const logger = logging.logger('storage');
  const nodePath = nodePathOf(config.dataDirectory, config.actor);
  const onReleased = (): void => logger.warn({}, 'the disk is full: the reserve is given free for this start; make room');
  const { dataDirectory: dataDir, actor, peerAddresses } = config;
  const directory = await withReserve(
    nodePath,
    () => openNodeDirectory({ dataDir, actor, hasPeers: peerAddresses.length > 0 }),
    onReleased,
  );
  const opened: (() => Promise<void>)[] = [() => directory.close()];
  try {
    let node: FlotillaNode | undefined;
    const segmentBytes = await segmentBytesFor(directory.path, config.segmentBytes);
    await releaseReserveBelow(directory.path, config.minFreeBytes === undefined ? segmentBytes : config.minFreeBytes / 2, onReleased);
    const onFailure = (error: unknown): void => node?.fail(error);
    const storage = await withReserve(nodePath, () => openStorage({ directory, clock: systemClock, segmentBytes, onFailure }), onReleased);
    opened.push(() => storage.close());
    const { minFreeBytes } = config;
    const space = await SpaceGuard.start({ path: directory.path, storage, clock: systemClock, logger, segmentBytes, minFreeBytes });
    opened.push(() => space.stop());
    const started = new FlotillaNode({ ...internals, config, logging, metrics, directory, storage, space });
    node = started;
    opened.push(() => started.abandon());
    await started.listen();
    return started;
  } catch (error) {
    for (const close of opened.reverse()) await close();
    throw error;
  }
}

/** Opening a segment takes room for another one of its size: on a small disk, smaller ones. */
async function segmentBytesFor(path: string, configured: number): Promise<number> {
  const { totalBytes } = await diskSpaceOf(path);
  return Math.min(configured, Math.max(LIMITS.segmentBytesMin, Math.floor(totalBytes / LIMITS.segmentsPerDisk)));
}
