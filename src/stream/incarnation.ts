import { createHash } from 'node:crypto';

/**
 * The incarnation of a stream that every member makes for itself: it follows
 * from what they share, and is as random as that. A recovered cluster is another
 * cluster, so its streams are others, too.
 */
export function incarnationOf(clusterId: string, stream: string): string {
  return createHash('sha256').update(`${clusterId}/${stream}`).digest('hex').slice(0, 32);
}
