import type { Command } from 'commander';
import { LIMITS } from '../src/base/index.js';
import { compileGlob } from '../src/event/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import { withProgress } from './progress.js';

/** `flotilla import`: events of an export into a stream. */
export function importCommand(): Command {
  const command = clientCommand('import', 'append the events of an export')
    .argument('[file]', 'what flotilla export wrote, one event in JSON per line; - or nothing: stdin')
    .option('-n, --namespace <glob>', 'only events whose namespace it matches')
    .option('--keep-parents', 'leave the ids of parents as they are in the file')
    .option('--dry-run', 'check every line, append nothing')
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}

Events get new ids and times. The id of a parent becomes the new id of that event,
where it came earlier in the same import; where it did not, the parent is left out
and counted. Batches are appended one after the other: on a failure everything up
to the line that it names is imported, and nothing after that. An event whose parent
is in the batch that waits begins a new one, for a parent's new id is known when its
batch is acknowledged: a chain, each event the parent of the next, is imported one
event a call, at one round trip each (not so with --keep-parents). For a copy that keeps
ids and times, see flotilla backup.

Examples:
  $ flotilla export -n '/orders/**' -o orders.jsonl
  $ flotilla import -H other-cluster orders.jsonl
  $ flotilla export | flotilla import -H other-cluster`,
    );
  return command.action(async (path: string | undefined) => {
    const settings = new Settings(command);
    const pattern = settings.text('namespace');
    const glob = pattern === undefined ? undefined : settings.checked('namespace', () => compileGlob(pattern, 'glob'));
    const file = path === '-' ? undefined : path;
    const { FlotillaClient, parseHost } = await import('../src/client/index.js');
    const { ImportRun } = await import('./import-job.js');
    const { hosts, stream } = connectionOf(settings, parseHost);
    const client = settings.flag('dry-run')
      ? undefined
      : // Like produce it stays with the node that it was pointed at.
        new FlotillaClient({
          hosts,
          stream,
          followLeader: false,
          maxEventBytes: LIMITS.eventDataBytesMax,
        });
    const run = new ImportRun(client, { file, glob, keepParents: settings.flag('keep-parents') });
    process.exitCode = await withProgress(() => `importing: ${run.imported} events`, run.run());
    await client?.close();
  });
}
