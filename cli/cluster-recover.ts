import { Command, Option } from 'commander';
import { LIMITS } from '../src/base/index.js';
import type { SurvivingStream, Survivor } from '../src/offline/index.js';
import { Settings } from './client-options.js';
import { EXIT, printResult } from './output.js';
import { withProgress } from './progress.js';

/** Without it nothing is changed. */
const CONFIRMATION = '--yes-lose-events';

/** `flotilla cluster recover`: the way out when a majority is lost for good. Works on a directory, not on a cluster. */
export function recoverCommand(): Command {
  const command = new Command('recover')
    .description('make one survivor of a lost majority the only member of a new cluster')
    .addOption(new Option('-d, --data-dir <dir>', 'the data directory of the stopped survivor (default: .flotilla)'))
    .addOption(new Option('-A, --actor-id <id>', 'its actor id'))
    .addOption(new Option(CONFIRMATION, 'do it; without this, say what it holds and change nothing'))
    .addOption(new Option('--json', 'print one object'))
    .addHelpText(
      'after',
      `
Events that were acknowledged and are not in the survivor's copy are lost. Only for
a cluster that can never have a majority again: stop all that is left of it, run
this on each survivor without ${CONFIRMATION}, and recover the one with the highest
last term, and of those the one with the highest last index.

Examples:
  $ flotilla cluster recover -d /var/lib/flotilla -A 3
  $ flotilla cluster recover -d /var/lib/flotilla -A 3 ${CONFIRMATION}`,
    );
  return command.action(async () => {
    const settings = new Settings(command);
    const options = { dataDir: settings.text('data-dir') ?? '.flotilla', actor: actorOf(command, settings) };
    const isMeant = settings.flag('yes-lose-events');
    const { inspectSurvivor, recoverSurvivor } = await import('../src/offline/index.js');
    const survivor = await withProgress(
      'reading the log',
      isMeant ? recoverSurvivor(options) : inspectSurvivor(options),
    );
    await printResult(
      settings.flag('json')
        ? { recovered: isMeant, ...survivor, streams: survivor.streams ?? null }
        : (isMeant ? reportOf : warningOf)(survivor, options.dataDir),
    );
  });
}

function actorOf(command: Command, settings: Settings): number {
  const actor = settings.integer('actor-id', 1, LIMITS.actorIdMax);
  return (
    actor ??
    command.error("error: option '-A, --actor-id <id>' is missing: say which node is meant", { exitCode: EXIT.usage })
  );
}

/** What an operator has to know before using it. */
function warningOf({ actorId, directory, clusterId, streams, others }: Survivor, dataDir: string): string {
  const command = `flotilla cluster recover -d ${dataDir} -A ${actorId}`;
  if (streams === undefined)
    return (
      `The recovery of ${directory} was begun and has not ended. To carry it out to its end:\n\n  ${command} ` +
      `${CONFIRMATION}\n`
    );
  return `Actor ${actorId} of cluster ${clusterId}, stopped, in ${directory}, holds:

${streams.map(lineOf).join('\n')}

Recovering it makes it the only member of a NEW cluster. Given up for good:

${others.map((other) => `  actor ${other.actorId}, ${other.address}`).join('\n')}

Before you do that:
- Events that were ACKNOWLEDGED and are not in this copy are LOST. Run this same
  command on every survivor, and recover only the one with the highest last term,
  and of those the one with the highest last index. Move the others' data away.
- If a majority of the voters ${streams[0]?.voters.join(', ') ?? ''} can ever be started again with their data,
  do not recover: start them instead.
- Those that are given up must NEVER be started again on their old data: they are
  refused by the new cluster, but enough of them together would go on as the old
  one, with other events under the same ids.
- Entries above the commit index may never have been acknowledged. They stay, and
  count as committed from then on.
- Consumers that stand at a position are refused (FAILED_PRECONDITION) and must
  decide where to begin anew: what follows may differ from what they have seen.

Nothing was changed. To go ahead:

  ${command} ${CONFIRMATION}
`;
}

function reportOf({ actorId, directory, clusterId, streams = [] }: Survivor, dataDir: string): string {
  return `Actor ${actorId} in ${directory} is the only member of the new cluster ${clusterId}. It holds:

${streams.map(lineOf).join('\n')}

What to do next:
1. Move away the data of all former members: they must never be started on it.
2. Start this node as before: flotilla -d ${dataDir} -A ${actorId} …
3. Start new nodes on empty directories, with this node as --peer-addr. They get
   all events and vote once they have caught up; the former actor ids are free.
`;
}

function lineOf({ stream, lastCounter, lastTerm, lastIndex, commitIndex }: SurvivingStream): string {
  const events = lastCounter === 0 ? 'no events' : `events up to counter ${lastCounter}`;
  return (
    `  stream ${stream}: ${events}; last term ${lastTerm}, last index ${lastIndex}, known to be committed up to ` +
    `index ${commitIndex}`
  );
}
