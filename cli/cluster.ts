import { Command } from 'commander';
import type { NodeStatus } from '../src/client/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import { Output } from './output.js';

/** `flotilla cluster …`: what the cluster is made of. */
export function clusterCommand(): Command {
  return new Command('cluster').description('look at the cluster').addCommand(statusCommand());
}

function statusCommand(): Command {
  const command = clientCommand('status', 'print the members and how they are')
    .option('--json', 'print an array of objects')
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}\n\nExamples:\n  $ flotilla cluster status\n  $ flotilla cluster status -H node1,node2 --json`,
    );
  return command.action(async () => {
    const settings = new Settings(command);
    const json = settings.flag('json');
    const { FlotillaClient, parseHost } = await import('../src/client/index.js');
    const { hosts } = connectionOf(settings, parseHost);
    const client = new FlotillaClient({ hosts });
    const nodes = await client.status();
    const output = new Output();
    await output.write(json ? `${JSON.stringify(nodes.map(toJson), undefined, 2)}\n` : tableOf(nodes, useColours(output)));
    await output.flush();
    await client.close();
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
