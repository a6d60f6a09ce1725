import { Command } from 'commander';
import type { Figures, Outcome, RunOptions, SimulationFailure } from '../src/sim/index.js';
import { ENVIRONMENT_HELP, Settings } from './client-options.js';
import { EXIT, note, Output } from './output.js';
import { endWithNpm } from './stop-requests.js';

const STEPS_MAX = 1_000_000_000;
const PROGRESS_MS = 10_000;

interface SeedRange {
  readonly first: number;
  readonly last: number;
}

/** `flotilla sim`: the whole server on simulated disks, networks and clocks. */
export function simCommand(): Command {
  const command = new Command('sim')
    .description('run the server on simulated disks, networks and clocks, and check what it promises')
    .option('--seed <n>', 'one seed: the same number gives the same history')
    .option('--seeds <a..b>', 'all seeds from a to b (default: 1..10)')
    .option(
      '--steps <n>',
      'events to handle in each, before the faults end and the cluster has to recover (default: 20000)',
    )
    .option('--json', 'print one JSON object per seed')
    .hook('preAction', endWithNpm)
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}

Exits with 1 where a property did not hold, after printing the seed, the step,
the property, and the command that shows it again.

Examples:
  $ flotilla sim --seeds 1..100
  $ flotilla sim --seed 4711 --steps 100000`,
    );
  return command.action(async () => {
    const { runSeed, STEPS_DEFAULT } = await import('../src/sim/index.js');
    const settings = new Settings(command);
    const range = seedsOf(settings);
    const steps = settings.integer('steps', 1, STEPS_MAX) ?? STEPS_DEFAULT;
    const output = new Output();
    const failures = await simulate({ ...range, steps, json: settings.flag('json'), output }, runSeed);
    if (failures > 0) process.exitCode = EXIT.failed;
  });
}

export interface SimulateOptions extends SeedRange {
  readonly steps: number;
  readonly json: boolean;
  readonly output: Pick<Output, 'write' | 'flush' | 'closed'>;
}

/** Runs all seeds, whatever the ones before have found. Resolves to the number of those that found something. */
export async function simulate(
  { first, last, steps, json, output }: SimulateOptions,
  run: (options: RunOptions) => Promise<Outcome>,
): Promise<number> {
  const { addFigures, noFigures, SimulationFailure } = await import('../src/sim/index.js');
  const progress = new Progress(last - first + 1);
  const total = noFigures();
  let failures = 0;
  for (let seed = first; seed <= last && !output.closed; seed++) {
    try {
      const outcome = await run({ seed, steps });
      addFigures(total, outcome.figures);
      progress.ran(outcome.steps);
      if (json) await print(output, lineOf(outcome));
    } catch (error) {
      if (!(error instanceof SimulationFailure)) throw error;
      failures++;
      progress.ran(error.step);
      await print(output, json ? lineOfFailure(error) : `${error.message}\n\n`);
    }
  }
  if (!json)
    await print(output, `${progress.summary()}${failures > 0 ? `, ${failures} failed` : ''}\n${tableOf(total)}`);
  return failures;
}

function seedsOf(settings: Settings): SeedRange {
  const seed = settings.integer('seed', 0, 2 ** 31 - 1);
  const text = settings.text('seeds');
  if (seed !== undefined && text !== undefined)
    return settings.refuse('seeds', 'give either one seed or a range of them');
  if (seed !== undefined) return { first: seed, last: seed };
  const found = /^(\d{1,10})\.\.(\d{1,10})$/.exec(text ?? '1..10');
  const [first, last] = [Number(found?.[1]), Number(found?.[2])];
  if (found !== null && first <= last && last < 2 ** 31) return { first, last };
  return settings.refuse('seeds', `${JSON.stringify(text)} is no range such as 1..100, of numbers below 2^31`);
}

/** The keys are a contract. */
function lineOf({ seed, steps, traceHash, figures }: Outcome): string {
  return `${JSON.stringify({ seed, steps, traceHash, figures })}\n`;
}

function lineOfFailure({ seed, step, property, message, replay }: SimulationFailure): string {
  return `${JSON.stringify({ seed, step, property, message, replay })}\n`;
}

function tableOf(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `  ${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).padEnd(20)} ${value}\n`)
    .join('');
}

async function print(output: SimulateOptions['output'], text: string): Promise<void> {
  await output.write(text);
  await output.flush();
}

/** Tells on stderr, now and then, how far a long run is. */
class Progress {
  private readonly seeds: number;
  private readonly beginMs = performance.now();
  private toldMs = this.beginMs;
  private ranSeeds = 0;
  private ranSteps = 0;

  constructor(seeds: number) {
    this.seeds = seeds;
  }

  ran(steps: number): void {
    this.ranSeeds++;
    this.ranSteps += steps;
    const nowMs = performance.now();
    if (nowMs - this.toldMs < PROGRESS_MS || this.ranSeeds === this.seeds) return;
    this.toldMs = nowMs;
    note(this.summary());
  }

  summary(): string {
    const seconds = (performance.now() - this.beginMs) / 1000;
    return (
      `${this.ranSeeds} of ${this.seeds} seeds, ${this.ranSteps} steps, ` +
      `${Math.round(this.ranSteps / seconds)} a second`
    );
  }
}
