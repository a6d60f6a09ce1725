import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { type ActorId, actorId } from '../base/index.js';
import { CLUSTER_GROUP, CLUSTER_GROUP_NAME } from '../cluster/index.js';
import { DEFAULT_STREAM } from '../event/index.js';
import { systemClock } from '../group/index.js';
import { STREAM_KIND } from '../machine/stream/index.js';
import { incarnationOf } from '../stream/index.js';
import { forceNewCluster, inspectStoppedNode, type StoppedNode } from './force-new-cluster.js';

/** What a survivor holds, and whom its recovery gives up. */
export interface Survivor {
  readonly actorId: number;
  readonly directory: string;
  readonly clusterId: string;
  /** The other members, as far as this node knows. */
  readonly others: readonly { readonly actorId: number; readonly address: string }[];
  /** Undefined where a recovery was begun and has not ended. */
  readonly streams: readonly SurvivingStream[] | undefined;
}

export interface SurvivingStream {
  readonly stream: string;
  readonly incarnation: string;
  /** The survivor with the highest last term, and of those the highest last index, holds most. */
  readonly lastTerm: number;
  readonly lastIndex: number;
  /** Up to here this node knows that the entries were committed; those above may be, too. */
  readonly commitIndex: number;
  /** Counter of the last event, 0 for none. */
  readonly lastCounter: number;
  readonly voters: readonly number[];
}

export interface SurvivorOptions {
  readonly dataDir: string;
  readonly actor: number;
}

/** Looks at a stopped node and changes nothing. */
export async function inspectSurvivor({ dataDir, actor }: SurvivorOptions): Promise<Survivor> {
  return survivorOf(
    await inspectStoppedNode({ dataDir: resolve(dataDir), actor: actorId(actor), clock: systemClock }),
    actorId(actor),
  );
}

/** Makes a stopped node the only member of a new cluster, with all events that it holds. */
export async function recoverSurvivor({ dataDir, actor }: SurvivorOptions): Promise<Survivor> {
  const recovered = await forceNewCluster({
    dataDir: resolve(dataDir),
    actor: actorId(actor),
    clock: systemClock,
    clusterId: randomBytes(16).toString('hex'),
    incarnationOf: (clusterId, group) =>
      incarnationOf(clusterId, group === CLUSTER_GROUP ? CLUSTER_GROUP_NAME : DEFAULT_STREAM),
  });
  return survivorOf(recovered, actorId(actor));
}

function survivorOf({ path, identity, logs, members }: StoppedNode, self: ActorId): Survivor {
  const others = members
    .filter(({ actor }) => actor !== self)
    .map(({ actor, address }) => ({ actorId: actor, address }));
  return {
    actorId: self,
    directory: path,
    clusterId: identity.clusterId ?? '',
    others,
    streams: logs
      ?.filter(({ machine }) => machine === STREAM_KIND.name)
      .map(({ tail, commitIndex, incarnation, membership }) => ({
        stream: DEFAULT_STREAM,
        incarnation,
        lastTerm: tail.term,
        lastIndex: tail.index,
        commitIndex,
        lastCounter: tail.nextCounter - 1,
        voters: membership.voters,
      })),
  };
}
