import { Command, Option } from 'commander';
import { DURATION_UNITS, parseQuantity, SIZE_UNITS, type Units } from '../src/base/index.js';
import type { FlotillaClient, StreamInfo } from '../src/client/index.js';
import { checkStreamName } from '../src/event/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import { EXIT, printResult } from './output.js';
import { withProgress } from './progress.js';

/** `flotilla stream …`: what a stream holds, and how much of it is kept. */
export function streamCommand(): Command {
  return new Command('stream')
    .description('look at a stream, and change how much of it is kept')
    .addCommand(showCommand())
    .addCommand(setCommand());
}

function showCommand(): Command {
  const command = clientCommand('show', 'print what a stream holds and how much of it is kept')
    .argument('[name]', 'the stream (default: that of --stream)')
    .option('--json', 'print one object')
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}\n\nExamples:\n  $ flotilla stream show\n  $ flotilla stream show -H node2 --json`,
    );
  return command.action(async (name: string | undefined) => {
    const info = await withClient(command, name, 'asking for the stream', (client) => client.stream());
    await print(command, info);
  });
}

const BOUNDS = ['max-events', 'max-bytes', 'max-age'] as const;

const COUNT_UNITS: Units = new Map([['', 1]]);

function setCommand(): Command {
  const command = clientCommand('set', 'change how much of a stream is kept')
    .argument('[name]', 'the stream (default: that of --stream)')
    .addOption(new Option('--max-events <n>', 'keep so many events; none: no bound'))
    .addOption(new Option('--max-bytes <size>', 'keep so much of the log; none: no bound'))
    .addOption(new Option('--max-age <duration>', 'keep events for so long; none: no bound'))
    .option('--json', 'print the stream as one object')
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}

What is not named stays as it is. Older events are not delivered from then on, on
no node; their disk space is free as soon as a whole segment of the log holds none
that are kept. There is no way back: what was removed is gone.

Examples:
  $ flotilla stream set --max-age 7d
  $ flotilla stream set --max-events 1000000 --max-bytes none`,
    );
  return command.action(async (name: string | undefined) => {
    const settings = new Settings(command);
    if (!BOUNDS.some((bound) => settings.isGiven(bound)))
      return command.error(`error: name what to change: --${BOUNDS.join(', --')}`, { exitCode: EXIT.usage });
    const changes = {
      maxEvents: boundOf(settings, 'max-events', COUNT_UNITS, 'a whole number'),
      maxBytes: boundOf(settings, 'max-bytes', SIZE_UNITS, 'a size, such as 512MiB or 20GiB'),
      maxAgeMs: boundOf(settings, 'max-age', DURATION_UNITS, 'a duration with its unit, such as 90s, 12h or 7d'),
    };
    const info = await withClient(command, name, 'changing the stream', (client) => client.setStream(changes));
    await print(command, info);
  });
}

/** Undefined where the option is not given. */
function boundOf(
  settings: Settings,
  name: (typeof BOUNDS)[number],
  units: Units,
  what: string,
): number | null | undefined {
  const text = settings.text(name);
  if (text === undefined || text === 'none') return text === undefined ? undefined : null;
  const value = parseQuantity(text, units);
  if (value !== undefined && value >= 1 && Number.isSafeInteger(value)) return value;
  return settings.refuse(name, `${JSON.stringify(text)} is neither ${what}, above 0, nor none`);
}

async function withClient<Result>(
  command: Command,
  name: string | undefined,
  doing: string,
  run: (client: FlotillaClient) => Promise<Result>,
): Promise<Result> {
  const { FlotillaClient, parseHost } = await import('../src/client/index.js');
  const settings = new Settings(command);
  const { hosts, stream } = connectionOf(settings, parseHost);
  if (name !== undefined) settings.checked('stream', () => checkStreamName(name, 'name'));
  const client = new FlotillaClient({ hosts, stream: name ?? stream });
  try {
    return await withProgress(doing, run(client));
  } finally {
    await client.close();
  }
}

async function print(command: Command, info: StreamInfo): Promise<void> {
  await printResult(new Settings(command).flag('json') ? info : textOf(info));
}

function textOf({ name, incarnation, settings, firstId, lastId, events, storedBytes, beginIndex }: StreamInfo): string {
  const { maxEvents, maxBytes, maxAgeMs } = settings;
  const rows: [string, string][] = [
    ['stream', name],
    ['incarnation', incarnation],
    ['first id', firstId ?? 'none'],
    ['last id', lastId ?? 'none'],
    ['events', String(events)],
    ['stored here', `${storedBytes} bytes, after log index ${beginIndex}`],
    ['max events', maxEvents === null ? 'none' : String(maxEvents)],
    ['max bytes', maxBytes === null ? 'none' : String(maxBytes)],
    ['max age', maxAgeMs === null ? 'none' : `${maxAgeMs} ms`],
  ];
  return rows.map(([title, value]) => `${title.padEnd(13)}${value}\n`).join('');
}
