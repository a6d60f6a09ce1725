import { type Command, Option } from 'commander';
import { LIMITS } from '../src/base/index.js';
import type { StoppedNodeAddress } from '../src/offline/index.js';
import type { Settings } from './client-options.js';
import { EXIT } from './output.js';

/** The options of a command that works on a stopped node's directory. */
export function addDirectoryOptions(command: Command): Command {
  return command
    .addOption(new Option('-d, --data-dir <dir>', 'the data directory of a stopped node (default: .flotilla)'))
    .addOption(new Option('-A, --actor-id <id>', 'which node, where the directory holds several'));
}

/**
 * The nodes that are meant: the one that is named, else all that are there. A directory without any is a wrong command
 * line.
 */
export async function nodesMeant(command: Command, settings: Settings): Promise<StoppedNodeAddress[]> {
  const dataDir = settings.text('data-dir') ?? '.flotilla';
  const actor = settings.integer('actor-id', 1, LIMITS.actorIdMax);
  if (actor !== undefined) return [{ dataDir, actor }];
  const { nodesIn } = await import('../src/offline/index.js');
  const actors = await nodesIn(dataDir);
  if (actors.length > 0) return actors.map((found) => ({ dataDir, actor: found }));
  return command.error(`error: ${dataDir} holds no node: look at --data-dir`, { exitCode: EXIT.usage });
}

/** The one node that is meant. */
export async function nodeMeant(command: Command, settings: Settings): Promise<StoppedNodeAddress> {
  const [first, ...others] = await nodesMeant(command, settings);
  if (first !== undefined && others.length === 0) return first;
  const actors = [first, ...others].map((node) => node?.actor).join(', ');
  return command.error(`error: the directory holds the nodes of actors ${actors}: say with -A which one is meant`, {
    exitCode: EXIT.usage,
  });
}
