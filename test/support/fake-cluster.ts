/** Clients against nodes that answer what a test says; all of them end with the test. */
import assert from 'node:assert/strict';
import { afterEach } from 'node:test';
import { FlotillaError } from '../../src/base/index.js';
import { type ClientOptions, type ErrorCode, FlotillaClient } from '../../src/client/index.js';
import { FakeLog, FakeNode } from './fake-node.js';

const cleanups: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export async function cluster(size: number): Promise<{ log: FakeLog; nodes: FakeNode[] }> {
  const log = new FakeLog();
  const nodes: FakeNode[] = [];
  for (let actor = 1; actor <= size; actor++) {
    const node = await new FakeNode(actor, log).start();
    cleanups.push(() => node.kill());
    nodes.push(node);
  }
  return { log, nodes };
}

export function clientOf(nodes: readonly FakeNode[], options: ClientOptions = {}): FlotillaClient {
  const client = new FlotillaClient({ hosts: nodes.map((node) => node.address), timeoutMs: 8000, ...options });
  cleanups.push(() => client.close());
  return client;
}

export function only(nodes: readonly FakeNode[]): FakeNode {
  const [node] = nodes;
  assert.ok(node !== undefined);
  return node;
}

export const code = (expected: ErrorCode) => (error: unknown) =>
  error instanceof FlotillaError && error.code === expected;
