import type { Command } from 'commander';
import { compileGlob } from '../src/event/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import { EXIT, escapeControls, escapeControlsInJson, Output } from './output.js';

const EXAMPLES = `
Examples:
  $ flotilla namespaces
  $ flotilla namespaces '/food/**' --limit 20
  $ flotilla namespaces --after /food/lunch --json

Counts are of the events that are there now, as the node that answers knows them.`;

/** `flotilla namespaces`: what a stream holds, by namespace. */
export function namespacesCommand(): Command {
  const command = clientCommand(
    'namespaces',
    'list namespaces, with the number of their events and the first and last id',
  )
    .argument('[glob]', 'namespaces to list (default: /**/*, which is everything)')
    .option('--after <namespace>', 'begin behind this namespace')
    .option('-l, --limit <number>', 'end after so many namespaces (0: no limit)')
    .option('--json', 'print each as JSON on a line')
    .addHelpText('after', `${ENVIRONMENT_HELP}\n${EXAMPLES}`);
  return command.action(async (glob: string | undefined) => {
    const settings = new Settings(command);
    if (glob !== undefined) settings.checkedArgument('glob', () => compileGlob(glob, 'glob'));
    const options = { after: settings.text('after'), limit: settings.integer('limit', 0, Number.MAX_SAFE_INTEGER) };
    const json = settings.flag('json');
    const { FlotillaClient, parseHost } = await import('../src/client/index.js');
    const { hosts, stream } = connectionOf(settings, parseHost);
    const client = new FlotillaClient({ hosts, stream });
    const output = new Output();
    for await (const summary of client.namespaces(glob, options)) {
      if (output.closed) break;
      const { namespace, count, firstId, lastId } = summary;
      const line = json ? JSON.stringify(summary) : `${namespace}  ${count}  ${firstId}  ${lastId}`;
      const escaped = json ? escapeControlsInJson(line) : escapeControls(line);
      await output.write(`${output.isTerminal ? escaped : line}\n`);
    }
    await output.flush();
    await client.close();
    process.exitCode = EXIT.success;
  });
}
