import { Command, Option } from 'commander';
import type { InspectedGroup, InspectedNode, InspectedSegment } from '../src/offline/index.js';
import { Settings } from './client-options.js';
import { printResult, sizeText } from './output.js';
import { withProgress } from './progress.js';
import { addDirectoryOptions, nodesMeant } from './stopped-node.js';
import { alignedLines } from './table.js';

/** `flotilla inspect`: what a stopped node has on disk. */
export function inspectCommand(): Command {
  const command = addDirectoryOptions(new Command('inspect').description('show what a stopped node has on disk'))
    .addOption(new Option('--json', 'print an array of objects'))
    .addHelpText(
      'after',
      `
Reads the small files of each node and the segments that are open; flotilla verify
reads everything. Changes nothing. Sizes are those of the files. A checkpoint is the
stream's state before a segment's first record, as of the index and term shown; there
is none before record 1, and none yet where that was not known to be committed.

Examples:
  $ flotilla inspect
  $ flotilla inspect -d /var/lib/flotilla -A 3 --json`,
    );
  return command.action(async () => {
    const settings = new Settings(command);
    const { inspectNode } = await import('../src/offline/index.js');
    const nodes: InspectedNode[] = [];
    for (const node of await nodesMeant(command, settings))
      nodes.push(await withProgress('reading the log', inspectNode(node)));
    await printResult(settings.flag('json') ? nodes : nodes.map(textOf).join('\n'));
  });
}

function textOf({ path, actor, identity, groups, bytes }: InspectedNode): string {
  const who =
    typeof identity === 'string'
      ? `identity: ${identity}`
      : `instance ${identity.instance}, started ${identity.bootCounter} times, ${clusterText(identity.clusterId)}`;
  return `Actor ${actor} in ${path}, ${sizeText(bytes)}\n  ${who}\n${groups.map(groupText).join('')}`;
}

function clusterText(clusterId: string | undefined): string {
  return clusterId === undefined ? 'in no cluster yet' : `cluster ${clusterId}`;
}

function groupText({ group, incarnation, hardState, marker, membership, segments }: InspectedGroup): string {
  const state = typeof hardState === 'string' ? hardState : `term ${hardState.term}, vote ${hardState.vote ?? 'none'}`;
  const mark =
    typeof marker === 'string'
      ? marker
      : `record ${marker.index} of term ${marker.term}, committed through ${marker.commitIndex}, log begins after ` +
        `${marker.beginIndex}`;
  const members =
    membership === undefined
      ? 'unknown'
      : membership.members
          .map(({ actor }) => `${actor}${membership.voters.includes(actor) ? '' : ' (learner)'}`)
          .join(', ');
  const rows = [['SEGMENT', 'STATE', 'RECORDS', 'COUNTERS', 'TERMS', 'SIZE', 'CHECKPOINT'], ...segments.map(rowOf)];
  return `
  group ${group}, incarnation ${incarnation ?? 'unknown'}
    hard state  ${state}
    marker      ${mark}
    members     ${members}
${alignedLines(rows)
  .map((line) => `    ${line}\n`)
  .join('')}`;
}

function rowOf({ sequence, state, why, records, counters, terms, bytes, checkpoint }: InspectedSegment): string[] {
  const words = why === undefined ? state : `${state}: ${why}`;
  return [
    String(sequence),
    words,
    range(records),
    range(counters),
    range(terms),
    sizeText(bytes),
    checkpointText(checkpoint),
  ];
}

function checkpointText(found: InspectedSegment['checkpoint']): string {
  if (found === undefined) return '-';
  const { index, term, sound, why } = found;
  return `after ${index} of term ${term}, ${sound ? 'sound' : `damaged: ${why}`}`;
}

function range(found: { readonly from: number; readonly to: number } | undefined): string {
  if (found === undefined) return '-';
  return found.from === found.to ? String(found.from) : `${found.from}-${found.to}`;
}
