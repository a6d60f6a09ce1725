import type { Command } from 'commander';
import { parseEventId } from '../src/event/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';

const EXAMPLES = `
Examples:
  $ flotilla get 12345.1
  $ flotilla get 0000000000000000000100001 --json

Exit code 1 where the stream has no event of that id.`;

/** `flotilla get`: events by their ids, to stdout. */
export function getCommand(): Command {
  const command = clientCommand('get', 'print events by their ids')
    .argument('<id...>', '25 digits, or COUNTER.ACTOR')
    .option('--json', 'print each event as JSON on a line')
    .addHelpText('after', `${ENVIRONMENT_HELP}\n${EXAMPLES}`);
  return command.action(async (ids: readonly string[]) => {
    const settings = new Settings(command);
    for (const id of ids) settings.checkedArgument('id', () => parseEventId(id, 'id'));
    const { FlotillaClient, parseHost } = await import('../src/client/index.js');
    const { runGet } = await import('./consume-job.js');
    const { hosts, stream, verbose } = connectionOf(settings, parseHost);
    process.exitCode = await runGet(new FlotillaClient({ hosts, stream }), ids, {
      json: settings.flag('json'),
      verbose,
    });
  });
}
