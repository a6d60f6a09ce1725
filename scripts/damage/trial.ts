import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FlotillaError } from '../../src/base/index.js';
import { FlotillaClient } from '../../src/client/index.js';
import { createLogging, createMetrics, type RunningNode, resolveConfig, startNode } from '../../src/node/index.js';
import { dumpNode, inspectNode, type Verification, verifyNode } from '../../src/offline/index.js';
import { proto } from '../../src/wire/index.js';
import { until } from '../../test/support/until.js';
import { type KnownEvent, Questions, WrongAnswer } from './answers.js';
import type { DamageCase } from './cases.js';
import type { Outcome } from './table.js';

/** A stopped node's folder, and the events that were acknowledged until then. */
export interface Saved {
  readonly path: string;
  readonly known: readonly KnownEvent[];
}

export interface TrialOptions {
  readonly one: DamageCase;
  readonly saved: Saved;
  readonly older: Saved;
  /** The folder for the copy that is damaged. */
  readonly dataDir: string;
  readonly port: number;
}

interface Result {
  readonly outcome: Outcome;
  readonly note: string;
}

const SETTINGS = {
  'election-timeout': '50ms',
  'heartbeat-interval': '10ms',
  'segment-bytes': '1MiB',
  'max-cache-memory': '1MiB',
};

/**
 * One damage on a copy of the only node's folder: the tools look into it, and it is started, in this process, for that
 * is quicker.
 */
export class Trial {
  private readonly options: TrialOptions;
  private readonly folder: string;
  private readonly known: readonly KnownEvent[];
  private readonly damagedIndexes = new Map<string, Buffer>();

  constructor(options: TrialOptions) {
    const { one, saved, older, dataDir } = options;
    this.options = options;
    this.folder = join(dataDir, 'node-1');
    // It could not be told from the one that it was.
    this.known = one.isWholeFolder ? older.known : saved.known;
  }

  async run(): Promise<Result> {
    const { one, saved, older } = this.options;
    cpSync(saved.path, this.folder, { recursive: true });
    try {
      const applied = one.apply(this.folder, older.path);
      if (applied !== 'damaged') return { outcome: 'no damage', note: applied };
      const damages = await this.verified();
      for (const { file } of damages)
        if (file.endsWith('namespaces')) this.damagedIndexes.set(file, readFileSync(file));
      const dump = await this.requireRightDump();
      await inspectNode(this.address);
      const result = await this.started(damages);
      if (result.outcome !== 'served right' && damages.length === 0)
        throw new WrongAnswer(`it ${result.outcome}, and flotilla verify calls it sound: ${result.note}`);
      const remedies = [...new Set(damages.map(({ remedy }) => remedy))].join(', ') || 'sound';
      return { outcome: result.outcome, note: `verify: ${remedies}; dump: ${dump}${result.note}` };
    } catch (error) {
      const kept = join(tmpdir(), `flotilla-damaged-${process.pid}`, one.name.replaceAll(/\W+/g, '-'));
      mkdirSync(kept, { recursive: true });
      cpSync(saved.path, join(kept, 'node-1'), { recursive: true });
      one.apply(join(kept, 'node-1'), older.path);
      return { outcome: 'FAILED', note: `${error instanceof Error ? error.message : String(error)}\nsee ${kept}` };
    } finally {
      rmSync(this.options.dataDir, { recursive: true, force: true });
    }
  }

  private get host(): string {
    return `127.0.0.1:${this.options.port}`;
  }

  private get address(): { dataDir: string; actor: number } {
    return { dataDir: this.options.dataDir, actor: 1 };
  }

  private async verified(): Promise<Verification['damages']> {
    return (await verifyNode(this.address, () => undefined)).damages;
  }

  /** As far as it goes; an end that is called one is the end. */
  private async requireRightDump(): Promise<string> {
    let next = 0;
    const take = ({ id, namespace, data }: Partial<KnownEvent>): void => {
      const expected = this.known[next++];
      if (id !== expected?.id || namespace !== expected?.namespace || data !== expected?.data)
        throw new WrongAnswer(`dump: event ${id} comes in place of ${expected?.id ?? 'the end'}, or is another`);
    };
    try {
      await dumpNode(
        { ...this.address, stream: 'default', through: undefined },
        {
          begin: async () => undefined,
          events: async (events) => {
            events.forEach(take);
            return true;
          },
        },
      );
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      return `${error.code} after ${next} events`;
    }
    if (next !== this.known.length)
      throw new WrongAnswer(`dump: it ends after ${next} of ${this.known.length} events, and calls that whole`);
    return 'whole';
  }

  private async started(damages: Verification['damages']): Promise<Result> {
    let node: RunningNode;
    try {
      node = await this.start();
    } catch (error) {
      return { outcome: 'refused to start', note: `\n    ${this.refusalIn(error)}` };
    }
    let ended: unknown;
    void node.stopped.then(({ error }) => {
      ended = error;
    });
    await until('it serves', async () => {
      if (ended !== undefined) throw ended;
      return (await fetch(`http://127.0.0.1:${node.httpPort}/readyz`)).ok;
    });
    let refusal: string | undefined;
    try {
      refusal = await this.questioned();
      await this.goesOn();
      await this.mended(damages);
    } finally {
      await node.stop('the questions are over');
    }
    const left = await this.verified();
    if (refusal === undefined && left.length > 0)
      throw new WrongAnswer(`all was served, and afterwards it is not sound: ${JSON.stringify(left)}`);
    if (refusal !== undefined && left.length === 0)
      throw new WrongAnswer(`it refused "${refusal}", and afterwards it is called sound`);
    return refusal === undefined
      ? { outcome: 'served right', note: '' }
      : { outcome: 'refused a range', note: `\n    ${refusal}` };
  }

  /** What no reader has met is for the scrub to find, some seconds after the start. */
  private async mended(damages: Verification['damages']): Promise<void> {
    for (const { file } of damages.filter((damage) => damage.file.endsWith('namespaces'))) {
      const damaged = this.damagedIndexes.get(file);
      await until('the scrub has come by', () => damaged === undefined || !readFileSync(file).equals(damaged));
    }
  }

  private async start(): Promise<RunningNode> {
    const { dataDir, port } = this.options;
    const flags = { 'data-dir': dataDir, port: String(port), log: 'silent', ...SETTINGS };
    const resolution = await resolveConfig({ flags, env: {}, readFile: () => '' });
    assert.ok('config' in resolution, JSON.stringify(resolution));
    const { config } = resolution;
    const logging = createLogging({
      levels: config.logLevels,
      destination: config.logDestination,
      actor: 1,
      onDrop: () => undefined,
    });
    return await startNode(config, logging, createMetrics());
  }

  /** It must name what is damaged and what can be done. */
  private refusalIn(error: unknown): string {
    const isSaid = error instanceof FlotillaError && (error.code === 'DATA_LOSS' || error.code === 'FOREIGN_NODE');
    if (
      !isSaid ||
      !error.message.includes(this.folder) ||
      !/flotilla restore|put .*back|restore the folder/.test(error.message)
    )
      throw error;
    return `${error.code}: ${error.message}`;
  }

  /** Resolves with how it refused a range; undefined where everything was served. */
  private async questioned(): Promise<string | undefined> {
    const { known } = this;
    const questions = new Questions(this.host, proto.Consistency.CONFIRMED);
    const { messages, reached } = await questions.all(known);
    const refused = new Set(await questions.byId(known));
    const [message] = messages;
    const client = new FlotillaClient({ hosts: this.host, timeoutMs: 1000 });
    const read = await readAll(client);
    await client.close();
    const isRight = read.ids.every((id, at) => id === known[at]?.id);
    if (
      !isRight ||
      (read.failure === undefined) !== (message === undefined) ||
      (read.failure === undefined && read.ids.length !== known.length)
    )
      throw new WrongAnswer(
        `the client was given ${read.ids.length} of ${known.length} events, and ` +
          `${read.failure?.message ?? 'no failure'}`,
      );
    if (message === undefined) {
      assert.equal(refused.size, 0);
      return undefined;
    }
    const firstRefused = known.findIndex((event) => refused.has(event));
    if (read.ids.length !== firstRefused)
      throw new WrongAnswer(
        `the client was given ${read.ids.length} events, and by its id the ${firstRefused}th is the first to ` +
          'be refused',
      );
    const last = known.findLast((event) => refused.has(event));
    assert.ok(last !== undefined);
    assert.deepEqual(
      reached,
      [firstRefused, known.length - 1 - known.indexOf(last)],
      'what stands before and behind the damage is served',
    );
    const failure = await questions.rest(known.slice(known.indexOf(last) + 1));
    if (failure !== undefined)
      throw new WrongAnswer(`what follows the last refused event is refused: ${failure.message}`);
    for (const words of [this.folder, 'records', 'events', 'flotilla verify', 'flotilla restore'])
      if (!messages.every((text) => text.includes(words)))
        throw new WrongAnswer(`no "${words}" in ${messages.join('\n')}`);
    return `${refused.size} of ${known.length} events: ${message}`;
  }

  private async goesOn(): Promise<void> {
    const client = new FlotillaClient({ hosts: this.host });
    const { firstId } = await client.produce({ namespace: '/after', data: 'the damage' });
    const found = await client.get(firstId);
    assert.equal(found.text(), 'the damage');
    await client.close();
  }
}

async function readAll(client: FlotillaClient): Promise<{ ids: string[]; failure: FlotillaError | undefined }> {
  const ids: string[] = [];
  try {
    for await (const { id } of client.read()) ids.push(String(id));
    return { ids, failure: undefined };
  } catch (error) {
    if (!(error instanceof FlotillaError) || error.code !== 'DATA_LOSS') throw error;
    return { ids, failure: error };
  }
}
