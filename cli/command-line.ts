import { Command, CommanderError } from 'commander';
import { commonOptions, knownOption } from './client-options.js';
import { type CommandWord, findCommandWord, similarName } from './command-word.js';
import { EXIT, oneLine, reportError } from './output.js';
import { readVersion } from './version.js';

/** Each command's module is loaded only when it is needed: starting up is most of a short command's time. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./serve.js')).serveCommand(),
  produce: async () => (await import('./produce.js')).produceCommand(),
  backup: async () => (await import('./backup.js')).backupCommand(),
  restore: async () => (await import('./restore.js')).restoreCommand(),
  consume: async () => (await import('./consume.js')).consumeCommand(),
  get: async () => (await import('./get.js')).getCommand(),
  export: async () => (await import('./export.js')).exportCommand(),
  import: async () => (await import('./import.js')).importCommand(),
  namespaces: async () => (await import('./namespaces.js')).namespacesCommand(),
  cluster: async () => (await import('./cluster.js')).clusterCommand(),
  inspect: async () => (await import('./inspect.js')).inspectCommand(),
  verify: async () => (await import('./verify.js')).verifyCommand(),
  dump: async () => (await import('./dump.js')).dumpCommand(),
  stream: async () => (await import('./stream.js')).streamCommand(),
  sim: async () => (await import('./sim.js')).simCommand(),
};

const NAMES = [...Object.keys(COMMANDS), 'help'];

/** Runs the command line. Resolves to the exit code; a server does not come back. */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args);
  } catch (error) {
    // commander has told what is wrong; its own exit code for that is 1.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.success : EXIT.usage;
    return reportError(error);
  }
}

async function dispatch(args: readonly string[]): Promise<number> {
  let found = findCommandWord(args, commonOptions());
  if (found.unknown !== undefined) {
    // Only the server has further options that may stand before its word.
    const serve = await load('serve');
    found = findCommandWord(args, [...commonOptions(), ...serve.options.map(knownOption)]);
    if (found.word !== undefined && found.word !== 'serve') return misplaced(found);
    return await run(serve, [...found.before, ...found.after]);
  }
  if (found.word === undefined) {
    if (args.some((arg) => arg === '--help' || arg === '-h')) return await help();
    return await run(await load('serve'), args);
  }
  if (found.before.some((arg) => arg === '--help' || arg === '-h')) return await help();
  if (found.word === 'help') return await help(found.after[0]);
  if (!Object.hasOwn(COMMANDS, found.word)) return usage(unknownCommand(found.word));
  const command = await load(found.word);
  if (command.commands.length === 0) return await run(command, [...found.before, ...found.after]);
  const inner = findCommandWord(found.after, commonOptions());
  return await run(command, [
    ...(inner.word === undefined ? [] : [inner.word]),
    ...found.before,
    ...inner.before,
    ...inner.after,
  ]);
}

async function load(name: string): Promise<Command> {
  const make = COMMANDS[name];
  if (make === undefined) throw new Error(`no command ${name}`);
  return prepared(await make());
}

/** Errors are thrown to `runCommandLine` and told in one line. */
function prepared(command: Command, parents = 'flotilla'): Command {
  command
    .exitOverride()
    .version(readVersion(), '-V, --version', "print Flotilla's version")
    .helpOption('-h, --help', 'show this help')
    .configureOutput({
      outputError: (text, write) =>
        write(`${oneLine(text.trim())}${isOptionUnknown(text) ? ` (${fullName(command)} --help lists them)` : ''}\n`),
    });
  // Names the command in its usage line as it is typed.
  if (command.parent === null) command.name(`${parents} ${command.name()}`);
  for (const child of command.commands) prepared(child);
  return command;
}

function isOptionUnknown(text: string): boolean {
  return text.startsWith('error: unknown option');
}

/** As it is typed. */
function fullName(command: Command): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}

async function run(command: Command, args: readonly string[]): Promise<number> {
  await command.parseAsync([...args], { from: 'user' });
  return typeof process.exitCode === 'number' ? process.exitCode : EXIT.success;
}

async function help(name?: string): Promise<number> {
  if (name !== undefined && name !== 'help') {
    if (!Object.hasOwn(COMMANDS, name)) return usage(unknownCommand(name));
    (await load(name)).outputHelp();
    return EXIT.success;
  }
  const program = new Command('flotilla')
    .usage('[options] [command]')
    .description('A Raft-replicated, clustered event store.');
  program
    .version(readVersion(), '-V, --version', "print Flotilla's version")
    .helpOption('-h, --help', 'show help; also of a command');
  for (const make of Object.values(COMMANDS)) program.addCommand(await make());
  process.stdout.write(`${program.helpInformation()}
Without a command, flotilla starts a server. Its options:

${optionsOf(await load('serve'))}
Examples:
  $ flotilla -p 3000 -d ./data
  $ flotilla produce -n /food/breakfast/eggs -d "I made some eggs"
  $ flotilla consume -n '/food/**' -t
  $ flotilla cluster status
`);
  return EXIT.success;
}

/** The part of a command's help that lists its options. */
function optionsOf(command: Command): string {
  const [, ...sections] = command.helpInformation().split(/\n\n/);
  return sections.slice(1).join('\n\n');
}

function misplaced(found: CommandWord): number {
  const word = found.word ?? '';
  if (!Object.hasOwn(COMMANDS, word)) return usage(unknownCommand(word));
  const option = found.before.find((arg) => findCommandWord([arg], commonOptions()).unknown !== undefined) ?? '';
  return usage(
    `option '${option}' stands before '${word}': write it behind; only -H, -p, --stream and -v may stand before ` +
      'a client command',
  );
}

function unknownCommand(word: string): string {
  const similar = similarName(word, NAMES);
  const suggestion = similar === undefined ? '' : `; did you mean ${similar}?`;
  return `unknown command ${JSON.stringify(word.slice(0, 64))}${suggestion} (flotilla --help lists the commands)`;
}

function usage(message: string): number {
  process.stderr.write(`error: ${message}\n`);
  return EXIT.usage;
}
