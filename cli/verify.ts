import { Command, Option } from 'commander';
import type { Damage, Remedy, Verification, VerifiedGroup } from '../src/offline/index.js';
import { Settings } from './client-options.js';
import { EXIT, printResult } from './output.js';
import { withProgress } from './progress.js';
import { addDirectoryOptions, nodesMeant } from './stopped-node.js';

/** `flotilla verify`: whether all that a stopped node has on disk is what was written. */
export function verifyCommand(): Command {
  const command = addDirectoryOptions(
    new Command('verify').description('read all that a stopped node has on disk, and name every damage'),
  )
    .addOption(new Option('--json', 'print an array of objects'))
    .addHelpText(
      'after',
      `
Every record, header, footer, marker and hard state, and how they fit together.
Changes nothing, and needs space for one segment in the system's temporary folder.
Exit code 0: all is sound. 1: something is damaged; each damage is named with its
file, its records and what to do.

Examples:
  $ flotilla verify
  $ flotilla verify -d /var/lib/flotilla -A 3`,
    );
  return command.action(async () => {
    const settings = new Settings(command);
    const { verifyNode } = await import('../src/offline/index.js');
    const found: Verification[] = [];
    for (const node of await nodesMeant(command, settings)) {
      let read = 0;
      const doing = (): string => `verifying actor ${node.actor}, ${read} records`;
      found.push(
        await withProgress(
          doing,
          verifyNode(node, ({ records }) => (read = records)),
        ),
      );
    }
    await printResult(settings.flag('json') ? found : found.map(textOf).join(''));
    if (found.some(({ damages }) => damages.length > 0)) process.exitCode = EXIT.failed;
  });
}

function textOf({ path, groups, damages, notes }: Verification): string {
  const sum = (figure: (group: VerifiedGroup) => number): number =>
    groups.reduce((total, group) => total + figure(group), 0);
  const held =
    `${groups.length} groups, ${sum(({ segments }) => segments)} segments, ${sum(({ records }) => records)} ` +
    `records, ${sum(({ events }) => events)} events`;
  const remarks = notes.map((note) => `  note: ${note}\n`).join('');
  if (damages.length === 0) return `${path}: sound (${held})\n${remarks}`;
  const remedies = [...new Set(damages.map(({ remedy }) => remedy))]
    .map((remedy) => `  ${remedy}: ${REMEDIES[remedy]}\n`)
    .join('');
  return (
    `${path}: ${damages.length} damages (what could be read: ` +
    `${held})\n${damages.map(damageText).join('')}${remarks}What to do:\n${remedies}`
  );
}

function damageText({ file, records, what, remedy }: Damage): string {
  const which =
    records === undefined
      ? ''
      : records.from === records.to
        ? ` record ${records.from}:`
        : ` records ${records.from}-${records.to}:`;
  return `  ${file}:${which} ${what} [${remedy}]\n`;
}

const REMEDIES: Readonly<Record<Remedy, string>> = {
  start: 'start the node: it makes this again from what is left.',
  refetch:
    'start the node: it votes and serves the rest. In a cluster it has what is damaged from another member. A ' +
    'cluster of one refuses it: restore a backup, or go on without these records.',
  replace:
    'the node must not vote with this. In a cluster: start it, and it begins anew with what the others have. A ' +
    'cluster of one: put back what is missing, or restore a backup.',
};
