import { type Command, Option } from 'commander';
import type { FlotillaClient } from '../src/client/index.js';
import { DEFAULT_STREAM, parseEventId } from '../src/event/index.js';
import type { DumpEnd } from '../src/offline/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import { Output, warn } from './output.js';
import { addDirectoryOptions, nodeMeant } from './stopped-node.js';

/** `flotilla dump`: one copy of a stream in a form that compares byte by byte. */
export function dumpCommand(): Command {
  const command = addDirectoryOptions(
    clientCommand('dump', "print a node's copy of a stream, to compare it with another's"),
  )
    .addOption(new Option('--through <event>', 'end with this event: its counter, or its id'))
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}

The first line names the stream and its incarnation, each further one is an event
in its JSON form. Nodes that hold the same events print the same bytes. Without
--host and --port it reads the directory of a stopped node, up to what that node
knew to be committed; with them it asks a node that runs, up to what a majority
confirms. --through lets nodes be compared that stopped at different ends.

Events that retention has given up are not in it, also where a node still stores
them, nor are those of the system's namespaces (/$…): it is what a consumer of
everything gets. This version writes none; a gap in the counters would tell of them.

Examples:
  $ flotilla dump -d /var/lib/flotilla -A 3 | sha256sum
  $ flotilla dump -H node2 --through 100000`,
    );
  return command.action(async () => {
    const settings = new Settings(command);
    const through = endOf(settings);
    const local = settings.isFlagGiven('data-dir') || settings.isFlagGiven('actor-id');
    const remote = settings.isFlagGiven('host') || settings.isFlagGiven('port');
    if (local && remote)
      settings.refuse('data-dir', 'a dump is of a directory or of a node that runs (--host, --port), not of both');
    if (remote || (!local && settings.isGiven('host'))) await dumpOverNetwork(settings, through);
    else await dumpDirectory(command, settings, through);
  });
}

function endOf(settings: Settings): DumpEnd | undefined {
  const text = settings.text('through');
  if (text === undefined) return undefined;
  // A bare number is a counter; an id has 25 digits, or a dot.
  if (!/^\d{1,16}$/.test(text)) return settings.checked('through', () => parseEventId(text, 'through'));
  return settings.checked('through', () => ({ counter: parseEventId(`${text}.1`, 'through').counter }));
}

async function dumpDirectory(command: Command, settings: Settings, through: DumpEnd | undefined): Promise<void> {
  const node = await nodeMeant(command, settings);
  const stream = settings.text('stream') ?? DEFAULT_STREAM;
  const { dumpNode } = await import('../src/offline/index.js');
  const output = new Output();
  const { beyondCommit, leftOut } = await dumpNode(
    { ...node, stream, through },
    {
      begin: async ({ incarnation }) => await output.write(headerLine(stream, incarnation)),
      events: async (events) => {
        await output.write(events.map((event) => `${JSON.stringify(event)}\n`).join(''));
        return !output.closed;
      },
    },
  );
  await output.flush();
  if (beyondCommit)
    warn('the last events are beyond what this node knew to be committed: compare them with another node');
  if (leftOut)
    warn(
      'the node holds later events that it did not know to be committed; they are left out, and --through takes them',
    );
}

async function dumpOverNetwork(settings: Settings, through: DumpEnd | undefined): Promise<void> {
  const { FlotillaClient, parseHost } = await import('../src/client/index.js');
  const { hosts, stream } = connectionOf(settings, parseHost);
  const [host] = hosts;
  if (host === undefined || hosts.length !== 1) settings.refuse('host', 'a dump is of one node: name one');
  const client = new FlotillaClient({ hosts: [host], stream });
  try {
    await dumpNode(client, stream, through);
  } finally {
    await client.close();
  }
}

async function dumpNode(client: FlotillaClient, stream: string, through: DumpEnd | undefined): Promise<void> {
  const { requireReached, requireSameActor } = await import('../src/offline/index.js');
  const output = new Output();
  const stop = new AbortController();
  let last = 0;
  let failure: unknown;
  const events = client.readBatches({
    signal: stop.signal,
    onStarted: ({ incarnation, confirmed }) => {
      output.collect(headerLine(stream, incarnation));
      if (!confirmed) warn('the end of the stream could not be confirmed with a majority: newer events may be missing');
    },
    // The client would go on with another node, and this is a dump of one.
    onReconnect: (cause) => {
      failure = cause;
      stop.abort();
    },
  });
  try {
    for await (const batch of events) {
      for (const event of batch) {
        if (through !== undefined && event.counter > through.counter) break;
        requireSameActor(through, parseEventId(event.id, 'id'));
        const pending = output.write(`${JSON.stringify(event)}\n`);
        if (pending !== undefined) await pending;
        last = event.counter;
      }
      if (output.closed) return;
      if (through !== undefined && last >= through.counter) break;
    }
  } catch (error) {
    await output.flush();
    throw failure ?? error;
  }
  await output.flush();
  requireReached(through, last);
}

/** What a dump begins with. */
function headerLine(stream: string, incarnation: string): string {
  return `${JSON.stringify({ stream, incarnation })}\n`;
}
