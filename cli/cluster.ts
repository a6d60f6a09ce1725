import { Command } from 'commander';
import { LIMITS } from '../src/base/index.js';
import type { FlotillaClient, NodeStatus } from '../src/client/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import { EXIT, Output } from './output.js';

/** `flotilla cluster …`: what the cluster is made of. */
export function clusterCommand(): Command {
  return new Command('cluster')
    .description('look at the cluster, and change its members')
    .addCommand(statusCommand())
    .addCommand(removeCommand())
    .addCommand(transferCommand());
}

function removeCommand(): Command {
  const command = clientCommand('remove', 'take a member out of the cluster, for good')
    .argument('<actor>', 'its actor id')
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}

Refused where too few of the others could be reached to go on. What was removed
can't come back with its data directory; a new, empty one may use its actor id.

Examples:
  $ flotilla cluster remove 3
  $ flotilla cluster remove -H node1,node2 3`,
    );
  return command.action(async (actor: string) => {
    const voters = await withClient(command, (client) => client.removeMember(actorOf(command, actor)));
    await say(`actor ${actor} is removed; voters: ${voters.join(', ')}\n`);
  });
}

function transferCommand(): Command {
  const command = clientCommand('transfer', 'hand leadership to another member')
    .argument('[actor]', 'its actor id (default: whoever has caught up furthest)')
    .addHelpText('after', `${ENVIRONMENT_HELP}\n\nExamples:\n  $ flotilla cluster transfer\n  $ flotilla cluster transfer 2`);
  return command.action(async (actor: string | undefined) => {
    const to = actor === undefined ? undefined : actorOf(command, actor);
    const leader = await withClient(command, (client) => client.transferLeadership(to));
    await say(leader === undefined ? 'leadership was handed over\n' : `actor ${leader} leads\n`);
  });
}

function actorOf(command: Command, text: string): number {
  const actor = Number(text);
  if (/^\d{1,5}$/.test(text) && actor >= 1 && actor <= LIMITS.actorIdMax) return actor;
  return command.error(`error: actor ${JSON.stringify(text)} is no actor id: 1 to ${LIMITS.actorIdMax}`, { exitCode: EXIT.usage });
}

async function withClient<Result>(command: Command, run: (client: FlotillaClient) => Promise<Result>): Promise<Result> {
  const { FlotillaClient, parseHost } = await import('../src/client/index.js');
  const { hosts } = connectionOf(new Settings(command), parseHost);
  const client = new FlotillaClient({ hosts });
  try {
    return await run(client);
  } finally {
    await client.close();
  }
}

async function say(text: string): Promise<void> {
  const output = new Output();
  await output.write(text);
  await output.flush();
}

function statusCommand(): Command {
  const command = clientCommand('status', 'print the members and how they are')
    .option('--json', 'print an array of objects')
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}\n\nExamples:\n  $ flotilla cluster status\n  $ flotilla cluster status -H node1,node2 --json`,
    );
  return command.action(async () => {
    const json = new Settings(command).flag('json');
    const nodes = await withClient(command, (client) => client.status());
    const output = new Output();
    await output.write(json ? `${JSON.stringify(nodes.map(toJson), undefined, 2)}\n` : tableOf(nodes, useColours(output)));
    await output.flush();
  });
}

/** The keys are a contract; a node that could not be reached has the role null. */
function toJson(node: NodeStatus): Record<string, unknown> {
  const { actorId, address, role, term, commitIndex, lastIndex, lag, reachable } = node;
  return { actorId, address, role: role ?? null, term, commitIndex, lastIndex, lag, reachable };
}

function useColours(output: Output): boolean {
  const { NO_COLOR: noColour } = process.env;
  return output.isTerminal && (noColour === undefined || noColour === '');
}

const HEADER = ['ACTOR', 'ADDRESS', 'ROLE', 'TERM', 'COMMIT', 'LAST', 'LAG', 'REACHABLE'];

/** What is not known of a node that could not be reached is a dash. */
export function tableOf(nodes: readonly NodeStatus[], colours: boolean): string {
  const rows = nodes.map((node) => {
    const figures = [node.term, node.commitIndex, node.lastIndex, node.lag].map((figure) => (node.reachable ? String(figure) : '-'));
    return [String(node.actorId), node.address, node.role ?? '-', ...figures, node.reachable ? 'yes' : 'no'];
  });
  const widths = HEADER.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const styled = rows.map((row, position) => (colours ? colour(nodes[position], line(row)) : line(row)));
  return `${[line(HEADER), ...styled].join('\n')}\n`;
}

function colour(node: NodeStatus | undefined, line: string): string {
  if (node?.reachable !== true) return `\x1b[31m${line}\x1b[0m`;
  return node.role === 'leader' ? `\x1b[32m${line}\x1b[0m` : line;
}
