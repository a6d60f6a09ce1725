import { openNodeDirectory, openStorage } from '../storage/index.js';
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
  const directory = await openNodeDirectory({
    dataDir: config.dataDirectory,
    actor: config.actor,
    hasPeers: config.peerAddresses.length > 0,
  });
  const opened: (() => Promise<void>)[] = [() => directory.close()];
  try {
    let node: FlotillaNode | undefined;
    const storage = await openStorage({
      directory,
      clock: systemClock,
      segmentBytes: config.segmentBytes,
      onFailure: (error) => node?.fail(error),
    });
    opened.push(() => storage.close());
    const started = new FlotillaNode({ ...internals, config, logging, metrics, directory, storage });
    node = started;
    opened.push(() => started.abandon());
    await started.listen();
    return started;
  } catch (error) {
    for (const close of opened.reverse()) await close();
    throw error;
  }
}
