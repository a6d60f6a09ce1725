import { type Command, Option } from 'commander';
import { compileGlob, parseEventId } from '../src/event/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import type { ConsumeJob } from './consume-job.js';

const EXAMPLES = `
Examples:
  $ flotilla consume
  $ flotilla consume -n '/food/**' -t
  $ flotilla consume -s 12345.1 -l 100 --json

Without -t it ends at the end of the stream as of its start.`;

/** `flotilla consume`: events to stdout. */
export function consumeCommand(): Command {
  const command = clientCommand('consume', 'print events')
    .option('-n, --namespace <glob>', 'namespaces to read (default: /**/*, which is everything)')
    .option('-s, --start-after <id>', 'begin behind this id (25 digits, or COUNTER.ACTOR)')
    .option('-l, --limit <number>', 'end after so many events (0: no limit)')
    .option('-t, --tail', 'go on with new events')
    .option('--json', 'print each event as JSON on a line')
    .addOption(new Option('-g, --group <name>').hideHelp())
    .addOption(new Option('--since <duration>').hideHelp())
    .addHelpText('after', `${ENVIRONMENT_HELP}\n${EXAMPLES}`);
  return command.action(async () => {
    const job = jobOf(new Settings(command));
    const { FlotillaClient, parseHost } = await import('../src/client/index.js');
    const { runConsume } = await import('./consume-job.js');
    const { hosts, stream, verbose } = connectionOf(new Settings(command), parseHost);
    process.exitCode = await runConsume(new FlotillaClient({ hosts, stream }), { ...job, verbose });
  });
}

/** What is to be read; a wrong command line ends here. */
function jobOf(settings: Settings): Omit<ConsumeJob, 'verbose'> {
  for (const name of ['group', 'since']) {
    if (settings.isGiven(name)) settings.refuse(name, 'this version does not support it yet');
  }
  const glob = settings.text('namespace');
  const startAfter = settings.text('start-after');
  if (glob !== undefined) settings.checked('namespace', () => compileGlob(glob, 'glob'));
  if (startAfter !== undefined) settings.checked('start-after', () => parseEventId(startAfter, 'start-after'));
  return {
    glob,
    startAfter,
    limit: settings.integer('limit', 0, Number.MAX_SAFE_INTEGER),
    tail: settings.flag('tail'),
    json: settings.flag('json'),
  };
}
