import type { LogIndex } from '../base/index.js';
import type { SimulatedDisk } from './disk.js';
import { SimulatedDatabase } from './disk-database.js';
import { type Inode, SimulatedDirectory, SimulatedFile } from './disk-tree.js';
import type { ObservedNode } from './observed-node.js';
import { Violation } from './violation.js';

/**
 * A node that takes part has its open segment whole. Where a record is missing
 * in it, or is another, the node had to refuse to start: it would lead with a log
 * that it does not have. (Sealed segments are verified when they are read.)
 */
export function requireOpenSegmentWhole(
  disk: SimulatedDisk,
  segmentsPath: string,
  node: ObservedNode,
  lastIndex: LogIndex,
): void {
  const segments = disk.find(segmentsPath);
  if (!(segments instanceof SimulatedDirectory)) return;
  const names = [...segments.entries.keys()].sort();
  const open = names
    .map((name) => segments.entries.get(name))
    .findLast((inode) => childOf(inode, 'header') !== undefined);
  const database = childOf(open, 'db');
  const header = childOf(open, 'header');
  if (!(database instanceof SimulatedDatabase) || !(header instanceof SimulatedFile)) return;
  for (let index = firstIndexOf(header); index <= lastIndex; index++) {
    const bytes = database.tables.get(index);
    const record = node.records[index - 1];
    if (bytes !== undefined && record !== undefined && Buffer.compare(bytes, record.bytes) === 0) continue;
    throw new Violation(
      'a node refuses a log with a hole',
      `${node.actor} has started, and record ${index} in its open segment is ` +
        `${bytes === undefined ? 'missing' : 'damaged'}`,
    );
  }
}

function childOf(inode: Inode | undefined, name: string): Inode | undefined {
  return inode instanceof SimulatedDirectory ? inode.entries.get(name) : undefined;
}

function firstIndexOf(header: SimulatedFile): number {
  const text = header.content.toString();
  const { before }: { before: { index: number } } = JSON.parse(text.slice(0, text.indexOf('\n')));
  return before.index + 1;
}
