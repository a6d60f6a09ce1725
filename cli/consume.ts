import { type Command, Option } from 'commander';
import { compileGlob, parseEventId } from '../src/event/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import type { ConsumeJob } from './consume-job.js';
import { parsePointInTime } from './points-in-time.js';

const EXAMPLES = `
Examples:
  $ flotilla consume
  $ flotilla consume -n '/food/**' -t
  $ flotilla consume -s 12345.1 -l 100 --json
  $ flotilla consume --since 15m
  $ flotilla consume --since 2026-03-01 --until 2026-03-02T12:00Z
  $ flotilla consume --backwards -l 10
  $ flotilla consume --last 10 -t

Without -t it ends at the end of the stream as of its start. Of several bounds
all hold, in either direction. TIME is a duration before now (ms, s, m, h, d),
ISO 8601 (UTC where it names no zone) or UTC milliseconds; it goes by log time,
the latest timestamp so far, which never goes back.`;

/** `flotilla consume`: events to stdout. */
export function consumeCommand(): Command {
  const command = clientCommand('consume', 'print events')
    .option('-n, --namespace <glob>', 'namespaces to read (default: /**/*, which is everything)')
    .option('-s, --start-after <id>', 'begin behind this id (25 digits, or COUNTER.ACTOR)')
    .option('--start-at <id>', 'begin with this id')
    .option('--end-before <id>', 'end before this id')
    .option('--end-at <id>', 'end with this id')
    .option('--since <time>', 'only what was appended at this time or later')
    .option('--until <time>', 'only what was appended earlier than this')
    .option('--backwards', 'newest first')
    .option('--last <number>', 'begin with the last so many')
    .option('--from-now', 'with -t: only what comes from now on')
    .option('-l, --limit <number>', 'end after so many events (0: no limit)')
    .option('-t, --tail', 'go on with new events')
    .option('--json', 'print each event as JSON on a line')
    .addOption(new Option('-g, --group <name>').hideHelp())
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
  if (settings.isGiven('group')) settings.refuse('group', 'this version does not support it yet');
  const glob = settings.text('namespace');
  if (glob !== undefined) settings.checked('namespace', () => compileGlob(glob, 'glob'));
  const nowMs = Date.now();
  const job = {
    glob,
    startAfter: idOf(settings, 'start-after'),
    startAt: idOf(settings, 'start-at'),
    endBefore: idOf(settings, 'end-before'),
    endAt: idOf(settings, 'end-at'),
    since: timeOf(settings, 'since', nowMs),
    until: timeOf(settings, 'until', nowMs),
    backwards: settings.flag('backwards'),
    limit: settings.integer('limit', 0, Number.MAX_SAFE_INTEGER),
    last: settings.integer('last', 0, Number.MAX_SAFE_INTEGER),
    tail: settings.flag('tail'),
    fromNow: settings.flag('from-now'),
    json: settings.flag('json'),
  };
  refuseContradictions(settings, job);
  return job;
}

/** A node refuses these too; here they are a wrong command line. */
function refuseContradictions(settings: Settings, job: Omit<ConsumeJob, 'verbose'>): void {
  const { startAfter, startAt, endBefore, endAt, until, backwards = false, last = 0, tail, fromNow = false } = job;
  const given = (value: unknown): boolean => value !== undefined;
  const contradictions: readonly (readonly [holds: boolean, option: string, why: string])[] = [
    [given(startAfter) && given(startAt), 'start-at', 'give either --start-after or --start-at'],
    [given(endBefore) && given(endAt), 'end-at', 'give either --end-before or --end-at'],
    [tail && given(endBefore), 'end-before', 'a tail has no end; leave out one of the two'],
    [tail && given(endAt), 'end-at', 'a tail has no end; leave out one of the two'],
    [tail && given(until), 'until', 'a tail has no end; leave out one of the two'],
    [tail && backwards, 'backwards', 'a tail goes forward; leave out one of the two'],
    [backwards && last > 0, 'last', '--backwards goes with --limit instead'],
    [fromNow && !tail, 'from-now', 'it goes with --tail'],
    [fromNow && last > 0, 'last', 'nothing comes before --from-now; leave out one of the two'],
  ];
  for (const [holds, option, why] of contradictions) if (holds) settings.refuse(option, why);
}

function idOf(settings: Settings, name: string): string | undefined {
  const text = settings.text(name);
  if (text !== undefined) settings.checked(name, () => parseEventId(text, name));
  return text;
}

function timeOf(settings: Settings, name: string, nowMs: number): number | undefined {
  const text = settings.text(name);
  return text === undefined ? undefined : settings.checked(name, () => parsePointInTime(text, nowMs));
}
