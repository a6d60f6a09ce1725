import assert from 'node:assert/strict';
import { Cluster, type ClusterOptions, SETTINGS } from './cluster.js';

export function clusterOf(voters: readonly number[], options: ClusterOptions = {}): Cluster {
  return new Cluster(voters, { ...options, settings: { ...SETTINGS, quiescence: true } });
}

/** Node 1 leads, and no follower has been asked to quiesce. */
export function led(voters: readonly number[] = [1, 2, 3], options: ClusterOptions = {}): Cluster {
  const cluster = clusterOf(voters, options);
  cluster.campaign(1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1]);
  return cluster;
}

/** Node 1 leads, and all have quiesced. */
export function quiescedCluster(voters: readonly number[] = [1, 2, 3], options: ClusterOptions = {}): Cluster {
  const cluster = led(voters, options);
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(quiescedNodes(cluster), voters, 'all have quiesced');
  return cluster;
}

export function quiescedNodes(cluster: Cluster): number[] {
  return [...cluster.nodes.values()].filter(({ core }) => core.isQuiesced).map(({ self }) => self);
}

export function terms(cluster: Cluster): number[] {
  return [...cluster.nodes.values()].map(({ core }) => core.term);
}
