import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import type { Command } from 'commander';
import { compileGlob, parseEventId } from '../src/event/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import type { ConsumeJob } from './consume-job.js';
import { EXIT, Output } from './output.js';
import { withProgress } from './progress.js';

/** `flotilla export`: events as JSON, one per line. */
export function exportCommand(): Command {
  const command = clientCommand('export', 'write events as JSON, one per line')
    .option('-n, --namespace <glob>', 'namespaces to write (default: /**/*, which is everything)')
    .option('-s, --start-after <id>', 'begin behind this id (25 digits, or COUNTER.ACTOR)')
    .option('-o, --output <file>', 'where to (default: stdout); it is there only when it is complete')
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}

Ends at the end of the stream as of its start. The lines are those of
flotilla consume --json; flotilla import takes them in.

Examples:
  $ flotilla export -o all.jsonl
  $ flotilla export -n '/orders/**' | gzip > orders.jsonl.gz`,
    );
  return command.action(async () => {
    const settings = new Settings(command);
    const glob = settings.text('namespace');
    const startAfter = settings.text('start-after');
    if (glob !== undefined) settings.checked('namespace', () => compileGlob(glob, 'glob'));
    if (startAfter !== undefined) settings.checked('start-after', () => parseEventId(startAfter, 'start-after'));
    const { FlotillaClient, parseHost } = await import('../src/client/index.js');
    const { runConsume } = await import('./consume-job.js');
    const { hosts, stream, verbose } = connectionOf(settings, parseHost);
    const job: ConsumeJob = { glob, startAfter, limit: undefined, tail: false, json: true, verbose };
    const client = new FlotillaClient({ hosts, stream });
    const run = async (output: Output): Promise<number> => await runConsume(client, job, output);
    const file = settings.text('output');
    process.exitCode =
      file === undefined || file === '-'
        ? await run(new Output())
        : await withProgress(`writing ${file}`, toFile(file, run));
  });
}

/** Under another name until it is complete and on disk: what bears the name is never a part of an export. */
async function toFile(file: string, run: (output: Output) => Promise<number>): Promise<number> {
  const unfinished = `${file}.part`;
  const stream = createWriteStream(unfinished, { flush: true });
  // What goes wrong with the file is told by the output.
  const written = finished(stream).then(
    () => true,
    () => false,
  );
  const output = new Output(stream);
  const exitCode = await run(output);
  stream.end();
  const isWhole = (await written) && exitCode === EXIT.success;
  if (isWhole) await rename(unfinished, file);
  else await rm(unfinished, { force: true });
  return isWhole ? EXIT.success : exitCode || EXIT.failed;
}
