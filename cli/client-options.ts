import { Command, Option } from 'commander';
import { messageOf } from '../src/base/index.js';
import { checkStreamName, DEFAULT_STREAM } from '../src/event/index.js';
import type { KnownOption } from './command-word.js';
import { EXIT } from './output.js';
import { endWithNpm } from './stop-requests.js';

/** What every client command takes, before or after its word. */
const COMMON = [
  {
    flags: '-H, --host <host>',
    summary: 'a node, or a comma list of HOST[:PORT]; the others are learned (default: localhost)',
  },
  { flags: '-p, --port <port>', summary: 'port of hosts that name none (default: 3000)' },
  { flags: '--stream <name>', summary: 'stream (default: default)' },
  { flags: '-v, --verbose', summary: 'say more' },
] as const;

const ENVIRONMENT_PREFIX = 'FLOTILLA_CLIENT_';

/** The common options, and what ends a command line early, as the search for the command word needs them. */
export function commonOptions(): KnownOption[] {
  return [
    ...COMMON.map(({ flags }) => knownOption(new Option(flags))),
    { short: '-h', long: '--help', takesValue: false },
    { short: '-V', long: '--version', takesValue: false },
  ];
}

export function knownOption(option: Option): KnownOption {
  return { short: option.short, long: option.long, takesValue: option.required || option.optional };
}

/** A command that talks to a cluster. */
export function clientCommand(name: string, description: string): Command {
  const command = new Command(name).description(description).hook('preAction', endWithNpm);
  for (const { flags, summary } of COMMON) command.addOption(new Option(flags, summary).helpGroup('Connection:'));
  return command;
}

export const ENVIRONMENT_HELP = `
Each option is also an environment variable, ${ENVIRONMENT_PREFIX}<OPTION> (--start-after:
${ENVIRONMENT_PREFIX}START_AFTER; -d is a comma list there). A flag beats the environment.`;

/**
 * The values of a command's options: a flag beats the environment. What can't be is told with the option's name; exit
 * 2.
 */
export class Settings {
  private readonly command: Command;
  private readonly environment: NodeJS.ProcessEnv;

  constructor(command: Command, environment: NodeJS.ProcessEnv = process.env) {
    this.command = command;
    this.environment = environment;
  }

  text(name: string): string | undefined {
    const value: unknown = this.command.getOptionValue(this.option(name).attributeName());
    return typeof value === 'string' ? value : this.environment[variableName(name)];
  }

  list(name: string): readonly string[] | undefined {
    const value: unknown = this.command.getOptionValue(this.option(name).attributeName());
    return Array.isArray(value) ? value.map(String) : this.environment[variableName(name)]?.split(',');
  }

  flag(name: string): boolean {
    if (this.command.getOptionValue(this.option(name).attributeName()) === true) return true;
    const value = this.environment[variableName(name)];
    if (value === undefined || value === '' || value === 'false' || value === '0') return false;
    if (value === 'true' || value === '1') return true;
    return this.refuse(name, `${JSON.stringify(value)} is neither true nor false`);
  }

  integer(name: string, min: number, max: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (/^[0-9]{1,16}$/.test(text) && value >= min && value <= max) return value;
    return this.refuse(name, `${JSON.stringify(text)} is not a whole number from ${min} to ${max}`);
  }

  /** Whether the flag itself was given, not only its environment variable. */
  isFlagGiven(name: string): boolean {
    return this.command.getOptionValueSource(this.option(name).attributeName()) === 'cli';
  }

  isGiven(name: string): boolean {
    return this.isFlagGiven(name) || this.environment[variableName(name)] !== undefined;
  }

  /** Runs a check of an option's value; what it throws becomes a wrong command line. */
  checked<T>(name: string, check: () => T): T {
    try {
      return check();
    } catch (error) {
      return this.refuse(name, messageOf(error));
    }
  }

  /** The same for an argument. */
  checkedArgument<T>(name: string, check: () => T): T {
    try {
      return check();
    } catch (error) {
      return this.command.error(`error: argument <${name}>: ${messageOf(error)}`, { exitCode: EXIT.usage });
    }
  }

  /** The command line is wrong: tells which option, and ends with exit code 2. */
  refuse(name: string, why: string): never {
    const source =
      this.isFlagGiven(name) || !this.isGiven(name) ? `option '${this.option(name).flags}'` : variableName(name);
    return this.command.error(`error: ${source}: ${why}`, { exitCode: EXIT.usage });
  }

  private option(name: string): Option {
    const option = this.command.options.find(({ long }) => long === `--${name}`);
    if (option === undefined) throw new Error(`the command has no option --${name}`);
    return option;
  }
}

export interface Connection {
  readonly hosts: readonly string[];
  readonly stream: string;
  readonly verbose: boolean;
}

/** Where to connect; `parseHost` is handed in because the client is loaded late. */
export function connectionOf(settings: Settings, parseHost: (text: string, defaultPort: number) => string): Connection {
  const port = settings.integer('port', 1, 65535) ?? 3000;
  const host = settings.text('host') ?? 'localhost';
  const stream = settings.text('stream') ?? DEFAULT_STREAM;
  settings.checked('stream', () => checkStreamName(stream, 'stream'));
  return {
    hosts: settings.checked('host', () => host.split(',').map((part) => parseHost(part, port))),
    stream,
    verbose: settings.flag('verbose'),
  };
}

function variableName(name: string): string {
  return ENVIRONMENT_PREFIX + name.replaceAll('-', '_').toUpperCase();
}
