import assert from 'node:assert/strict';
import { Cluster, type ClusterOptions, SETTINGS } from './cluster.js';

export function clusterOf(voters: readonly number[], options: ClusterOptions = {}): Cluster {
  return new Cluster(voters, { ...options, settings: { ...SETTINGS, quiescence: true } });
}

/** Node 1 leads, and nobody has been asked to rest. */
export function led(voters: readonly number[] = [1, 2, 3], options: ClusterOptions = {}): Cluster {
  const cluster = clusterOf(voters, options);
  cluster.campaign(1);
  cluster.settle();
  assert.deepEqual(cluster.leaders, [1]);
  return cluster;
}

/** Node 1 leads, and everybody rests. */
export function resting(voters: readonly number[] = [1, 2, 3], options: ClusterOptions = {}): Cluster {
  const cluster = led(voters, options);
  cluster.tick(100, 1);
  cluster.settle();
  assert.deepEqual(quiet(cluster), voters, 'everybody rests');
  return cluster;
}

export function quiet(cluster: Cluster): number[] {
  return [...cluster.nodes.values()].filter(({ core }) => core.isQuiet).map(({ self }) => self);
}

export function terms(cluster: Cluster): number[] {
  return [...cluster.nodes.values()].map(({ core }) => core.term);
}
