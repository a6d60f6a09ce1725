import assert from 'node:assert/strict';
import { cpSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from '../../test/support/cluster.js';
import type { DamageCase } from './cases.js';
import { folderAt, segmentsOf } from './node-folder.js';
import { MORE_THAN_A_SEGMENT, ProducedEvents } from './producing.js';
import type { Table } from './table.js';
import { type Saved, Trial } from './trial.js';

const ARGS = [
  '--election-timeout',
  '300ms',
  '--heartbeat-interval',
  '30ms',
  '--segment-bytes',
  '1MiB',
  '--max-cache-memory',
  '1MiB',
];
const EVENTS_AT_FIRST = 500;
const EVENTS_BETWEEN = 15;

/** What every case begins with. */
interface Samples {
  /** Ended by SIGTERM, and by SIGKILL. */
  readonly stopped: readonly [Saved, Saved];
  readonly older: Saved;
}

/**
 * The only node there is, in each case with the same folder and another damage:
 * it refuses to start, or refuses what is damaged, and says so, or it gives out
 * exactly what was acknowledged; and so do the tools that look into the folder.
 */
export async function damageTheOnlyOne(cases: readonly DamageCase[], table: Table): Promise<void> {
  const cluster = await Cluster.plan({ nodes: 1, args: ARGS });
  try {
    const samples = await makeSamples(cluster);
    for (const [number, one] of cases.entries()) {
      const beginMs = performance.now();
      const saved = samples.stopped[number % 2 === 0 ? 0 : 1];
      const trial = new Trial({
        one,
        saved,
        older: samples.older,
        dataDir: join(cluster.dataDir, '..', `trial-${number}`),
        port: cluster.node(1).port,
      });
      const { outcome, note } = await trial.run();
      table.add({ name: one.name, outcome, note, durationMs: performance.now() - beginMs });
    }
  } finally {
    await cluster.close();
  }
}

async function makeSamples(cluster: Cluster): Promise<Samples> {
  const node = cluster.node(1);
  const folder = join(cluster.dataDir, 'node-1');
  const client = cluster.client();
  const produced = new ProducedEvents(client);
  const save = async (name: string, signal: NodeJS.Signals): Promise<Saved> => {
    await node.kill(signal);
    const path = join(cluster.dataDir, '..', name);
    cpSync(folder, path, { recursive: true });
    return { path, known: produced.known };
  };
  await cluster.start();
  await produced.produce(EVENTS_AT_FIRST);
  await produced.trim();
  const older = await save('older', 'SIGTERM');
  await cluster.start();
  await produced.produce(2 * MORE_THAN_A_SEGMENT);
  const stopped: Saved[] = [];
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    // A table and a write-ahead log in the open segment, and one more that is opened ahead.
    for (let attempt = 0; !isComplete(folder); attempt++) {
      assert.ok(attempt < 60, 'no folder with every kind of file came about');
      if (attempt % 3 === 2) await node.kill('SIGTERM');
      if (!node.running) await cluster.start();
      await produced.produce(EVENTS_BETWEEN);
    }
    stopped.push(await save(signal, signal));
    await cluster.start();
    await produced.produce(EVENTS_BETWEEN);
  }
  await node.kill('SIGKILL');
  await client.close();
  const [first, second] = stopped;
  assert.ok(first !== undefined && second !== undefined);
  return { stopped: [first, second], older };
}

function isComplete(folder: string): boolean {
  const database = folderAt(folder, 'groups/1/segments/OPEN/db');
  if (segmentsOf(folder).ahead === undefined || database === undefined) return false;
  const files = readdirSync(join(folder, database)).filter((name) => statSync(join(folder, database, name)).size > 0);
  return files.some((name) => name.endsWith('.ldb')) && files.some((name) => name.endsWith('.log'));
}
