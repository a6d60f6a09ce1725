import { Command, Option } from 'commander';
import { LIMITS } from '../src/base/index.js';
import type { FlotillaClient, NodeStatus } from '../src/client/index.js';
import { clientCommand, connectionOf, ENVIRONMENT_HELP, Settings } from './client-options.js';
import { recoverCommand } from './cluster-recover.js';
import { EXIT, note, printResult, showsColours } from './output.js';
import { withProgress } from './progress.js';
import { alignedLines } from './table.js';

/** `flotilla cluster …`: the members, and changes of them. */
export function clusterCommand(): Command {
  return new Command('cluster')
    .description('look at the cluster, and change its members')
    .addCommand(statusCommand())
    .addCommand(formCommand())
    .addCommand(removeCommand())
    .addCommand(transferCommand())
    .addCommand(recoverCommand());
}

function formCommand(): Command {
  const command = clientCommand('form', 'form the cluster without founders that do not come')
    .addOption(
      new Option(
        '--without <address>',
        'HOST:PORT to wait for no longer, as /readyz and the log of a waiting node name it; repeatable',
      ).argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]),
    )
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}

Nodes that are started with --peer-addr for the first time wait until all of them
have met. Where one will not come, tell any of those that wait. Refused where the
cluster has formed already, and where those who are there are not more than those
who are not: these might form a cluster of their own. Who comes later joins the
cluster like any new node.

Examples:
  $ flotilla cluster form --without node3:3000
  $ flotilla cluster form -H node1 -p 3000 --without node3:3000`,
    );
  return command.action(async () => {
    const without = new Settings(command).list('without');
    if (without === undefined)
      return command.error("error: option '--without <address>' is missing", { exitCode: EXIT.usage });
    const voters = await withClient(command, 'waiting for the others to form the cluster', (client) =>
      client.formCluster(without),
    );
    await printResult(`the cluster has formed; voters: ${voters.join(', ')}\n`);
  });
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
    const voters = await withClient(command, `taking actor ${actor} out`, (client) =>
      client.removeMember(actorOf(command, actor)),
    );
    await printResult(`actor ${actor} is removed; voters: ${voters.join(', ')}\n`);
    note('its node can be stopped now; one with an empty data directory may take its place');
  });
}

function transferCommand(): Command {
  const command = clientCommand('transfer', 'hand leadership to another member')
    .argument('[actor]', 'its actor id (default: the one that has caught up furthest)')
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}\n\nExamples:\n  $ flotilla cluster transfer\n  $ flotilla cluster transfer 2`,
    );
  return command.action(async (actor: string | undefined) => {
    const to = actor === undefined ? undefined : actorOf(command, actor);
    const leader = await withClient(command, 'handing leadership over', (client) => client.transferLeadership(to));
    await printResult(leader === undefined ? 'leadership was handed over\n' : `actor ${leader} leads\n`);
  });
}

function actorOf(command: Command, text: string): number {
  const actor = Number(text);
  if (/^\d{1,5}$/.test(text) && actor >= 1 && actor <= LIMITS.actorIdMax) return actor;
  return command.error(`error: actor ${JSON.stringify(text)} is no actor id: 1 to ${LIMITS.actorIdMax}`, {
    exitCode: EXIT.usage,
  });
}

async function withClient<Result>(
  command: Command,
  doing: string,
  run: (client: FlotillaClient) => Promise<Result>,
): Promise<Result> {
  const { FlotillaClient, parseHost } = await import('../src/client/index.js');
  const { hosts } = connectionOf(new Settings(command), parseHost);
  const client = new FlotillaClient({ hosts });
  try {
    return await withProgress(doing, run(client));
  } finally {
    await client.close();
  }
}

function statusCommand(): Command {
  const command = clientCommand('status', 'print the members and how they are')
    .option('--json', 'print an array of objects')
    .addHelpText(
      'after',
      `${ENVIRONMENT_HELP}\n\nExamples:\n  $ flotilla cluster status\n` +
        '  $ flotilla cluster status -H node1,node2 --json',
    );
  return command.action(async () => {
    const json = new Settings(command).flag('json');
    const nodes = await withClient(command, 'asking the members', (client) => client.status());
    await printResult(json ? nodes.map(toJson) : tableOf(nodes, showsColours()));
  });
}

/** The keys are a contract; a node that could not be reached has the role null. */
function toJson(node: NodeStatus): Record<string, unknown> {
  const { actorId, address, role, term, commitIndex, lastIndex, lag, reachable } = node;
  return { actorId, address, role: role ?? null, term, commitIndex, lastIndex, lag, reachable };
}

const HEADER = ['ACTOR', 'ADDRESS', 'ROLE', 'TERM', 'COMMIT', 'LAST', 'LAG', 'REACHABLE'];

/** What is not known of a node that could not be reached is a dash. */
export function tableOf(nodes: readonly NodeStatus[], colours: boolean): string {
  const rows = nodes.map((node) => {
    const figures = [node.term, node.commitIndex, node.lastIndex, node.lag].map((figure) =>
      node.reachable ? String(figure) : '-',
    );
    return [String(node.actorId), node.address, node.role ?? '-', ...figures, node.reachable ? 'yes' : 'no'];
  });
  const [header = '', ...lines] = alignedLines([HEADER, ...rows]);
  const styled = lines.map((line, position) => (colours ? colour(nodes[position], line) : line));
  return `${[header, ...styled].join('\n')}\n`;
}

function colour(node: NodeStatus | undefined, line: string): string {
  if (node?.reachable !== true) return `\x1b[31m${line}\x1b[0m`;
  return node.role === 'leader' ? `\x1b[32m${line}\x1b[0m` : line;
}
