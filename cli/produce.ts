import { type Command, Option } from 'commander';
import { LIMITS } from '../src/base/index.js';
import { checkNamespace, parseEventId } from '../src/event/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import type { ProduceJob } from './produce-job.js';

const EXAMPLES = `
Examples:
  $ flotilla produce -n /food/breakfast/eggs -d "I made some eggs"
  $ flotilla -H node1,node2 -p 3000 produce -n /orders -d first -d second
  $ git log --format=%s | flotilla produce -n /git/commits --stdin

Prints the id of each event on its line. -d: all events at once, or none. An
event is there when its id is printed: on the disks of a majority.`;

/** `flotilla produce`: events from the command line, or from stdin. */
export function produceCommand(): Command {
  const command = clientCommand('produce', 'append events')
    .option('-n, --namespace <namespace>', 'namespace of the events')
    .addOption(
      new Option('-d, --data <text>', 'data of an event; repeatable; without it one event without data').argParser(
        collect,
      ),
    )
    .option('-P, --parent <id>', 'id of the event that caused these (25 digits, or COUNTER.ACTOR)')
    .option('--stdin', 'one event per line of stdin')
    .option(
      '--ndjson',
      'one event in JSON per line of stdin: namespace, data or dataBase64, parentId, type, contentType, metadata',
    )
    .addHelpText('after', `${ENVIRONMENT_HELP}\n${EXAMPLES}`);
  return command.action(async () => {
    const job = jobOf(new Settings(command));
    const { FlotillaClient, parseHost } = await import('../src/client/index.js');
    const { runProduce } = await import('./produce-job.js');
    const connection = connectionOf(new Settings(command), parseHost);
    const client = new FlotillaClient({
      hosts: connection.hosts,
      stream: connection.stream,
      // It stays with the node that it was pointed at, so that the ids bear that actor.
      followLeader: false,
      // A user at a prompt wants to know soon; a long input may outlive a restart of the whole cluster.
      timeoutMs: job.source === 'arguments' ? PROMPT_TIMEOUT_MS : LIMITS.clientTimeoutMs,
      // What a node takes is the node's to say.
      maxEventBytes: LIMITS.eventDataBytesMax,
    });
    process.exitCode = await runProduce(client, job);
  });
}

const PROMPT_TIMEOUT_MS = 10_000;

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

/** What is to be produced; a wrong command line ends here. */
function jobOf(settings: Settings): ProduceJob {
  const source = settings.flag('ndjson') ? 'ndjson' : settings.flag('stdin') ? 'lines' : 'arguments';
  const namespace = settings.text('namespace');
  const parent = settings.text('parent');
  if (settings.isFlagGiven('stdin') && settings.isFlagGiven('ndjson'))
    settings.refuse('ndjson', 'it does not go with --stdin: write one of them');
  if (source !== 'arguments' && settings.isFlagGiven('data'))
    settings.refuse('data', 'it does not go with --stdin or --ndjson');
  if (source === 'ndjson' && parent !== undefined)
    settings.refuse('parent', 'it does not go with --ndjson: write "parentId" into the events');
  if (namespace === undefined && source !== 'ndjson')
    settings.refuse('namespace', 'it is missing: say where the events belong, such as -n /orders');
  if (namespace !== undefined) settings.checked('namespace', () => checkNamespace(namespace, 'namespace'));
  if (parent !== undefined) settings.checked('parent', () => parseEventId(parent, 'parent'));
  return { source, namespace, parentId: parent, data: source === 'arguments' ? settings.list('data') : undefined };
}
