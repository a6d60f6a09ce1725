import { closeSync, openSync, readSync } from 'node:fs';
import { Command, Option } from 'commander';
import { LIMITS } from '../src/base/index.js';
import {
  environmentName,
  type Flags,
  OPTION_NAMES,
  type OptionName,
  optionOf,
  resolveConfig,
} from '../src/node/config/index.js';
import { EXIT } from './output.js';
import { runServer } from './serve-process.js';
import { keepYoungGenerationSmall } from './young-generation.js';

/** `flotilla serve`: its options are the table of src/node/config; its action ends the process. */
export function serveCommand(): Command {
  const command = new Command('serve').description('start a server (also what `flotilla` alone does)');
  for (const name of OPTION_NAMES) command.addOption(commanderOption(name));
  return command.addHelpText('after', HELP_AFTER).action(async () => {
    process.exit(await serve(flagsOf(command)));
  });
}

const HELP_AFTER = `
Sizes take KiB, MiB, GiB; durations ms, s, m, h, d. Each option is also an
environment variable (--data-dir: ${environmentName('data-dir')}; repeatable
ones are comma lists) and a key of the --config file. A flag beats the
environment beats the file.

Examples:
  $ flotilla
  $ flotilla -d /data1 -p 3000 --actor-id 1 --peer-addr 127.0.0.1:3001 --peer-addr 127.0.0.1:3002
  $ flotilla serve --config flotilla.yaml -L info -L raft=debug`;

function commanderOption(name: OptionName): Option {
  const { short, argument, repeatable, group, summary, default: shown } = optionOf(name);
  const flags = `${short === undefined ? '' : `-${short}, `}--${name}${argument === undefined ? '' : ` <${argument}>`}`;
  // The defaults are not commander's: it couldn't tell them from a flag, which beats the environment.
  const option = new Option(flags, shown === undefined ? summary : `${summary} (default: ${shown})`).helpGroup(
    `${group}:`,
  );
  if (repeatable)
    option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);
  return option;
}

function flagsOf(command: Command): Flags {
  const flags: { -readonly [Name in OptionName]?: string | readonly string[] | true } = {};
  for (const name of OPTION_NAMES) {
    const value: unknown = command.getOptionValue(commanderOption(name).attributeName());
    if (value === true || typeof value === 'string') flags[name] = value;
    else if (Array.isArray(value)) flags[name] = value.map(String);
  }
  return flags;
}

async function serve(flags: Flags): Promise<number> {
  const resolution = await resolveConfig({ flags, env: process.env, readFile: readConfigFile });
  if ('config' in resolution) {
    keepYoungGenerationSmall();
    return runServer(resolution.config, async (...parts) => {
      const { startNode } = await import('../src/node/index.js');
      return startNode(...parts);
    });
  }
  for (const problem of resolution.problems) process.stderr.write(`error: ${problem}\n`);
  return EXIT.usage;
}

/** Reads no more than is looked at, whatever the path leads to. */
function readConfigFile(path: string): string {
  const buffer = Buffer.alloc(LIMITS.configFileBytes + 1);
  const file = openSync(path, 'r');
  try {
    let length = 0;
    for (let read = 1; read > 0 && length < buffer.length; length += read)
      read = readSync(file, buffer, length, buffer.length - length, null);
    return new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length));
  } finally {
    closeSync(file);
  }
}
