import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * Below the range that systems hand out to outgoing connections: a port there
 * would be taken by somebody else's connection while its node is down.
 */
const FIRST = 12_000;
const LAST = 30_000;
/** A node's HTTP port is this much above its port where nothing else is said. */
const HTTP_OFFSET = 1000;

const given = new Set<number>();

/** Ports of loopback that are free, and whose default HTTP ports are free too. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) ports.push(await freeNeighbours(1));
  return ports;
}

/** The same for so many neighbours; returns the first of them. */
export async function freeNeighbours(count: number): Promise<number> {
  for (;;) {
    const first = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    const ports = Array.from({ length: count }, (_, offset) => [first + offset, first + offset + HTTP_OFFSET]).flat();
    if (ports.some((port) => given.has(port))) continue;
    if (!(await Promise.all(ports.map(isFree))).every(Boolean)) continue;
    for (const port of ports) given.add(port);
    return first;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  server.listen({ port, host: '127.0.0.1', exclusive: true });
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
