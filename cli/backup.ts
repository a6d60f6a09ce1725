import { type Command, InvalidArgumentError } from 'commander';
import type { BackupRun, BackupSummary } from '../src/offline/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import { EXIT, printResult, sizeText, warn } from './output.js';
import { withProgress } from './progress.js';

/** `flotilla backup`: a stream's log, into a directory. */
export function backupCommand(): Command {
  const command = clientCommand('backup', 'back a stream up, while it is used')
    .argument(
      '<directory>',
      'a new or empty one, or that of an earlier backup, to which what is new is added',
      nonEmpty,
    )
    .option('--json', 'print one object')
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}

From any node, up to what is committed. Where it is interrupted, what is there is a
whole backup of fewer events, and the next run goes on from there. Check a backup
with flotilla restore --verify-only.

Examples:
  $ flotilla backup /backups/orders
  $ flotilla -H node1,node2 backup /backups/orders --json`,
    );
  return command.action(async (directory: string) => {
    const settings = new Settings(command);
    const { FlotillaClient, parseHost } = await import('../src/client/index.js');
    const { backUp } = await import('../src/offline/index.js');
    const { hosts, stream } = connectionOf(settings, parseHost);
    const client = new FlotillaClient({ hosts, stream });
    let progress = { bytes: 0, index: 0, through: 0 };
    const doing = (): string =>
      `backing up: ${sizeText(progress.bytes)}, entry ${progress.index} of ${progress.through}`;
    try {
      const onProgress = (now: typeof progress): void => {
        progress = now;
      };
      const run = await withProgress(doing, backUp({ client, stream, directory, onProgress }));
      const { backup, addedRecords, addedBytes } = run;
      if (!backup.confirmed)
        warn(
          'the end of the stream could not be confirmed with a majority: newer events may be missing from the backup',
        );
      await printResult(settings.flag('json') ? { ...backup, addedRecords, addedBytes } : textOf(run));
      process.exitCode = EXIT.success;
    } finally {
      await client.close();
    }
  });
}

/** An argument that names something. */
export function nonEmpty(text: string): string {
  if (text !== '') return text;
  throw new InvalidArgumentError('It is empty.');
}

function textOf({ backup, addedRecords, addedBytes }: BackupRun): string {
  const { directory, stream, lastIndex, lastTerm, confirmed } = backup;
  const sure = confirmed ? 'confirmed with a majority' : 'not confirmed with a majority';
  const added = `${addedRecords} entries, ${sizeText(addedBytes)}`;
  return `Backed up stream ${stream} to ${directory}: ${eventsText(backup)}, ${sizeText(backup.bytes)}
up to commit index ${lastIndex} of term ${lastTerm}, ${sure}; new in this run: ${added}
`;
}

export function eventsText({ firstCounter, lastCounter }: Pick<BackupSummary, 'firstCounter' | 'lastCounter'>): string {
  return lastCounter < firstCounter ? 'no events' : `events ${firstCounter} to ${lastCounter}`;
}
