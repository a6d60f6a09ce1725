import type { Random } from '../base/index.js';
import type { SimulatedDisk } from './disk.js';
import type { SimulatedDatabase } from './disk-database.js';
import { type Inode, SimulatedDirectory, SimulatedFile } from './disk-tree.js';

const SECTOR_BYTES = 4096;

/**
 * Does to a disk that nobody uses what disks and LevelDB were seen to do to
 * data: one thing, in one place. Says what; undefined where it found nothing to
 * damage there.
 */
export function damage(disk: SimulatedDisk, random: Random): string | undefined {
  const found = inodesBelow(disk.root, '');
  const [path, inode, parent] = found[Math.floor(random() * found.length)] ?? [];
  if (path === undefined || inode === undefined || parent === undefined) return undefined;
  const what = inode instanceof SimulatedFile ? damageFile(inode, parent, path, random) : damageDatabase(inode, random);
  return what === undefined ? undefined : `${what} of ${path}`;
}

function damageFile(file: SimulatedFile, parent: SimulatedDirectory, path: string, random: Random): string {
  const kind = random();
  const content = Buffer.from(file.content);
  const position = Math.floor(random() * content.byteLength);
  if (kind < 0.4) {
    content[position] = (content[position] ?? 0) ^ (1 << Math.floor(random() * 8));
    file.damage(content);
    return `bit in byte ${position}`;
  }
  if (kind < 0.6) {
    const begin = position - (position % SECTOR_BYTES);
    content.fill(0, begin, Math.min(content.byteLength, begin + SECTOR_BYTES));
    file.damage(content);
    return `zeroed sector around byte ${position}`;
  }
  if (kind < 0.8) {
    file.damage(content.subarray(0, position));
    return `end from byte ${position}`;
  }
  parent.remove(path.slice(path.lastIndexOf('/') + 1));
  parent.sync();
  return 'file';
}

function damageDatabase(database: SimulatedDatabase, random: Random): string | undefined {
  const kind = random();
  if (kind < 0.1) {
    database.hasCurrent = false;
    return 'CURRENT';
  }
  if (kind < 0.5 && database.tables.size > 0) {
    database.damageTable(random);
    return 'bit in a table';
  }
  if (database.log.length === 0) return undefined;
  if (kind < 0.75) {
    database.loseBatches(random);
    return 'bit in the write-ahead log';
  }
  database.cutLog(kind < 0.85 ? 0 : Math.floor(random() * database.log.length));
  return 'end of the write-ahead log';
}

type Found = [path: string, inode: SimulatedFile | SimulatedDatabase, parent: SimulatedDirectory];

function inodesBelow(directory: SimulatedDirectory, path: string): Found[] {
  return [...directory.entries].flatMap(([name, inode]: [string, Inode]): Found[] =>
    inode instanceof SimulatedDirectory
      ? inodesBelow(inode, `${path}/${name}`)
      : [[`${path}/${name}`, inode, directory]],
  );
}
