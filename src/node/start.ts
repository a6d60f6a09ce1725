import { LIMITS } from '../base/index.js';
import { BallastFile, diskSpaceOf, nodePathOf, openNodeDirectory } from '../storage/index.js';
import type { Logging, Metrics } from '../telemetry/index.js';
import type { ServerConfig } from './config/index.js';
import type { NodeParts } from './node.js';
import { logNewBeginning, NodeSupervisor, type RunningNode } from './node-supervisor.js';
import { Watchdog } from './watchdog.js';

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
): Promise<RunningNode> {
  const watchdog = await watch(config, logging);
  try {
    const node = await startWatched(config, logging, metrics, internals);
    void node.stopped.then(() => watchdog?.stop());
    return node;
  } catch (error) {
    await watchdog?.stop();
    throw error;
  }
}

/** Undefined where the configuration wants none. */
async function watch(
  { watchdogTimeoutMs, actor, logDestination, logLevels }: ServerConfig,
  logging: Logging,
): Promise<Watchdog | undefined> {
  if (watchdogTimeoutMs === undefined) return undefined;
  const isSilent = (logLevels.modules.node ?? logLevels.default) === 'silent';
  const options = { timeoutMs: watchdogTimeoutMs, actor, logDestination: isSilent ? undefined : logDestination };
  return await Watchdog.start(options, logging.logger('node'));
}

async function startWatched(
  config: ServerConfig,
  logging: Logging,
  metrics: Metrics,
  internals: Pick<NodeParts, 'versions' | 'furtherGroups'>,
): Promise<RunningNode> {
  const logger = logging.logger('storage');
  const nodePath = nodePathOf(config.dataDirectory, config.actor);
  const onUsed = (): void =>
    logger.warn({}, 'the disk is full: what opens files is given space of the ballast; make some free');
  const ballast = await BallastFile.find({ nodePath, onUsed });
  const { dataDirectory: dataDir, actor, peerAddresses } = config;
  const directory = await ballast.lend(LIMITS.runningSpareBytes / 2, () =>
    openNodeDirectory({ dataDir, actor, hasPeers: peerAddresses.length > 0 }),
  );
  const { predecessor } = directory.identity;
  if (predecessor !== undefined) logNewBeginning(logging, predecessor.reason, undefined);
  try {
    const segmentBytes = await segmentBytesFor(directory.path, config.segmentBytes);
    const supervisor = new NodeSupervisor({ ...internals, config, logging, metrics, directory }, segmentBytes, ballast);
    await supervisor.begin();
    return supervisor;
  } catch (error) {
    await directory.close();
    throw error;
  }
}

/** Opening a segment takes room for another one of its size: on a small disk, smaller ones. */
async function segmentBytesFor(path: string, configured: number): Promise<number> {
  const { totalBytes } = await diskSpaceOf(path);
  return Math.min(configured, Math.max(LIMITS.segmentBytesMin, Math.floor(totalBytes / LIMITS.segmentsPerDisk)));
}
