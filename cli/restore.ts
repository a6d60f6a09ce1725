import { Command, Option } from 'commander';
import { LIMITS } from '../src/base/index.js';
import { parseEventId } from '../src/event/index.js';
import type { Restored, RestorePoint } from '../src/offline/index.js';
import { eventsText, nonEmpty } from './backup.js';
import { ENVIRONMENT_HELP, Settings } from './client-options.js';
import { EXIT, printResult, sizeText } from './output.js';
import { parsePointInTime } from './points-in-time.js';
import { withProgress } from './progress.js';

/** `flotilla restore`: of a backup, a node. Works on directories, not on a cluster. */
export function restoreCommand(): Command {
  const command = new Command('restore')
    .description('make of a backup the first node of a new cluster, or check a backup')
    .argument('<backup>', 'the directory of the backup', nonEmpty)
    .addOption(new Option('-d, --data-dir <dir>', 'where the node is made (default: .flotilla)'))
    .addOption(new Option('-A, --actor-id <id>', 'its actor id'))
    .addOption(
      new Option(
        '--through <point>',
        'end with the batch of this event (an id, or a counter), or before the first one after this time',
      ),
    )
    .addOption(new Option('--verify-only', 'read and check everything, make nothing'))
    .addOption(new Option('--json', 'print one object'))
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}

The node is the only member of a NEW cluster: events keep their ids, times and
parents, the stream gets a new incarnation. Start it with the same directory and
actor id; further nodes join it with --peer-addr, and get everything.

A time is a duration before now (90s, 15m, 2h, 7d) or ISO 8601, in UTC where it
names no zone.

Examples:
  $ flotilla restore /backups/orders --verify-only
  $ flotilla restore /backups/orders -d /var/lib/flotilla -A 1
  $ flotilla restore /backups/orders -d ./data -A 1 --through 2026-01-31T12:00:00Z`,
    );
  return command.action(async (backup: string) => {
    const settings = new Settings(command);
    process.exitCode = settings.flag('verify-only')
      ? await verify(backup, settings)
      : await restore(backup, command, settings);
  });
}

async function verify(backup: string, settings: Settings): Promise<number> {
  const { verifyBackup } = await import('../src/offline/index.js');
  let progress = { bytes: 0, of: 0 };
  const doing = (): string => `checking: ${sizeText(progress.bytes)} of ${sizeText(progress.of)}`;
  const found = await withProgress(
    doing,
    verifyBackup(backup, (now) => {
      progress = now;
    }),
  );
  const isWhole = found.damages.length === 0;
  const { directory, bytes, lastIndex } = found.backup;
  await printResult(
    settings.flag('json')
      ? { ...found.backup, damages: found.damages }
      : isWhole
        ? `${directory} is whole: ${eventsText(found.backup)}, ${sizeText(bytes)}, up to commit index ${lastIndex}\n`
        : `${found.damages.join('\n')}\n`,
  );
  return isWhole ? EXIT.success : EXIT.failed;
}

async function restore(backupDirectory: string, command: Command, settings: Settings): Promise<number> {
  const actor =
    settings.integer('actor-id', 1, LIMITS.actorIdMax) ??
    command.error("error: option '-A, --actor-id <id>' is missing: say which node is to be made", {
      exitCode: EXIT.usage,
    });
  const through = settings.text('through');
  const point = through === undefined ? undefined : settings.checked('through', () => pointOf(through, Date.now()));
  const dataDir = settings.text('data-dir') ?? '.flotilla';
  const { restoreFrom } = await import('../src/offline/index.js');
  let last = 0;
  const onProgress = (counter: number): void => {
    last = counter;
  };
  const restored = await withProgress(
    () => `restoring: event ${last}`,
    restoreFrom({ backupDirectory, dataDir, actor, point, onProgress }),
  );
  await printResult(settings.flag('json') ? { actorId: actor, ...restored } : reportOf(restored, dataDir, actor));
  return EXIT.success;
}

/** A counter, an id or a time: a bare number is a counter here. */
function pointOf(text: string, nowMs: number): RestorePoint {
  if (/^\d{1,16}$/.test(text)) return { kind: 'event', counter: Number(text) };
  if (!/^[\d.]+$/.test(text)) return { kind: 'time', utcMs: parsePointInTime(text, nowMs) };
  const id = parseEventId(text, 'through');
  return { kind: 'event', counter: id.counter, id };
}

function reportOf({ directory, clusterId, backup, ...held }: Restored, dataDir: string, actor: number): string {
  return `Actor ${actor} in ${directory} is the only member of the new cluster ${clusterId}. It holds
${eventsText(held)} of stream ${backup.stream}, backed up ${backup.takenAt} from cluster ${backup.clusterId}.

What to do next:
1. Start it: flotilla -d ${dataDir} -A ${actor} …
2. Start further nodes on empty directories, with this one as --peer-addr.
`;
}
