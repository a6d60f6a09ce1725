import { cpSync, existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fingerprint, folderAt, type Place, type SegmentState, segmentNamed } from './node-folder.js';

/** `absent`: there is nothing of that kind to damage. `unchanged`: what is there would not be another one. */
export type Applied = 'damaged' | 'absent' | 'unchanged';

export interface DamageCase {
  readonly name: string;
  /** Needs a copy of the node's folder from before. */
  readonly needsOlder: boolean;
  /** Needs a segment of this state. */
  readonly needsSegment: SegmentState | undefined;
  /** Needs an open segment that was there before the node's latest start, so that part of it is in a table. */
  readonly needsTables: boolean;
  /** The folder could not be told from a sound one where this node is the only one. */
  readonly isWholeFolder: boolean;
  apply(folder: string, older: string): Applied;
}

/**
 * Kinds of files, by the folder of the stopped node that they are in. Where there are several, the last by name, which
 * is the latest, is taken.
 */
const KINDS: Readonly<Record<string, readonly [Place, RegExp]>> = {
  identity: ['', /^identity$/],
  'known-members': ['', /^known-members$/],
  ballast: ['', /^ballast$/],
  ...databaseKinds('lock', 'lock'),
  'lock empty write-ahead log': ['lock', /\.log$/],
  'hard-state': ['groups/1', /^hard-state$/],
  marker: ['groups/1', /^marker$/],
  'first header': ['groups/1/segments/FIRST', /^header$/],
  'first checkpoint': ['groups/1/segments/FIRST', /^checkpoint$/],
  ...segmentKinds('sealed', 'SEALED'),
  'sealed footer': ['groups/1/segments/SEALED', /^footer$/],
  'sealed namespaces': ['groups/1/segments/SEALED', /^namespaces$/],
  'sealed table': ['groups/1/segments/SEALED/db', /\.ldb$/],
  'sealed empty write-ahead log': ['groups/1/segments/SEALED/db', /\.log$/],
  ...segmentKinds('open', 'OPEN'),
  'open table': ['groups/1/segments/OPEN/db', /\.ldb$/],
  'open write-ahead log': ['groups/1/segments/OPEN/db', /\.log$/],
  ...databaseKinds('ahead', 'groups/1/segments/AHEAD/db'),
  'ahead empty write-ahead log': ['groups/1/segments/AHEAD/db', /\.log$/],
};

function segmentKinds(name: string, state: SegmentState): Record<string, readonly [Place, RegExp]> {
  return {
    [`${name} header`]: [`groups/1/segments/${state}`, /^header$/],
    [`${name} checkpoint`]: [`groups/1/segments/${state}`, /^checkpoint$/],
    ...databaseKinds(name, `groups/1/segments/${state}/db`),
  };
}

function databaseKinds(name: string, place: Place): Record<string, readonly [Place, RegExp]> {
  return {
    [`${name} CURRENT`]: [place, /^CURRENT$/],
    [`${name} MANIFEST`]: [place, /^MANIFEST/],
    [`${name} LOG`]: [place, /^LOG$/],
    [`${name} LOCK`]: [place, /^LOCK$/],
  };
}

const SEGMENT_STATES: Readonly<Record<string, SegmentState>> = {
  first: 'FIRST',
  sealed: 'SEALED',
  open: 'OPEN',
  ahead: 'AHEAD',
};

type FileDamage = (path: string, older: string | undefined) => void;

const SECTOR_BYTES = 512;

const FILE_DAMAGES: Readonly<Record<string, FileDamage>> = {
  'flipped at the begin': (path) => change(path, (content) => flip(content, 2)),
  'flipped in the middle': (path) => change(path, (content) => flip(content, content.length >> 1)),
  'flipped at the end': (path) => change(path, (content) => flip(content, content.length - 3)),
  'cut in half': (path) => truncateSync(path, statSync(path).size >> 1),
  'cut by a little': (path) => truncateSync(path, Math.max(0, statSync(path).size - 100)),
  zeroed: (path) => change(path, (content) => content.fill(0)),
  // A sector in the middle; of the two-slot files it is the second slot.
  'zeroed in part': (path) =>
    change(path, (content) =>
      content
        .subarray(content.length >> 1)
        .subarray(0, SECTOR_BYTES)
        .fill(0),
    ),
  removed: (path) => rmSync(path),
  older: (path, older) => (older === undefined ? rmSync(path) : cpSync(older, path)),
};

/** Damages of two-slot files, which bear damage in one slot. */
const BOTH_SLOTS: FileDamage = (path) =>
  change(path, (content) => {
    flip(content, 2);
    flip(content, (content.length >> 1) + 2);
  });

/** What has no bytes can only go, or get some that no node wrote. */
const OF_EMPTY_FILES: Readonly<Record<string, FileDamage>> = {
  filled: (path) => writeFileSync(path, Buffer.alloc(100, 'filled ')),
  removed: (path) => rmSync(path),
};

function damagesOf(kind: string): Readonly<Record<string, FileDamage>> {
  if (/ (LOCK|empty write-ahead log)$/.test(kind)) return OF_EMPTY_FILES;
  return /^(hard-state|marker)$/.test(kind) ? { ...FILE_DAMAGES, 'flipped in both slots': BOTH_SLOTS } : FILE_DAMAGES;
}

function change(path: string, edit: (content: Buffer) => void): void {
  const content = readFileSync(path);
  edit(content);
  writeFileSync(path, content);
}

function flip(content: Buffer, at: number): void {
  if (content.length === 0) return;
  const position = Math.max(0, Math.min(at, content.length - 1));
  content[position] = (content[position] ?? 0) ^ 1;
}

/** Parts of the folder that go, or are replaced by an older copy. */
const FOLDERS: Readonly<Record<string, readonly [Place, string]>> = {
  lock: ['', 'lock'],
  'sealed db': ['groups/1/segments/SEALED', 'db'],
  'sealed segment': ['groups/1/segments/SEALED', ''],
  'first segment': ['groups/1/segments/FIRST', ''],
  'open db': ['groups/1/segments/OPEN', 'db'],
  'open segment': ['groups/1/segments/OPEN', ''],
  'ahead db': ['groups/1/segments/AHEAD', 'db'],
  'ahead segment': ['groups/1/segments/AHEAD', ''],
  segments: ['groups/1', 'segments'],
  group: ['groups/1', ''],
  groups: ['', 'groups'],
};

function fileCase(
  kind: string,
  [place, pattern]: readonly [Place, RegExp],
  what: string,
  damage: FileDamage,
): DamageCase {
  return {
    ...needs(`${kind} ${what}`),
    apply: (folder, older) => {
      const under = where(folder, older, place, what);
      if (under === undefined || !existsSync(join(folder, under))) return 'absent';
      const name = latest(join(folder, under), pattern);
      if (name === undefined) return 'absent';
      const olderName = latest(join(older, under), pattern);
      return changing(folder, () => damage(join(folder, under, name), olderName && join(older, under, olderName)));
    },
  };
}

function folderCase(kind: string, [place, name]: readonly [Place, string], what: 'removed' | 'older'): DamageCase {
  return {
    ...needs(`${kind} folder ${what}`),
    apply: (folder, older) => {
      const under = where(folder, older, place, what);
      if (under === undefined || !existsSync(join(folder, under, name))) return 'absent';
      return changing(folder, () => {
        const path = join(folder, under, name);
        rmSync(path, { recursive: true });
        if (what === 'older' && existsSync(join(older, under, name)))
          cpSync(join(older, under, name), path, { recursive: true });
      });
    },
  };
}

const WHOLE_FOLDER: DamageCase = {
  ...needs("the whole folder yesterday's, older"),
  isWholeFolder: true,
  apply: (folder, older) =>
    changing(folder, () => {
      rmSync(folder, { recursive: true });
      cpSync(older, folder, { recursive: true });
    }),
};

function needs(name: string): Omit<DamageCase, 'apply'> {
  return {
    name,
    needsOlder: name.endsWith('older'),
    needsSegment: Object.entries(SEGMENT_STATES).find(([word]) => name.startsWith(word))?.[1],
    needsTables: name.startsWith('open table'),
    isWholeFolder: false,
  };
}

/** The older copy of a sealed segment is from when it was open: one from when it was sealed would be the same. */
function where(folder: string, older: string, place: Place, what: string): string | undefined {
  const openThen = what === 'older' && place.includes('SEALED') ? segmentNamed(older, 'OPEN') : undefined;
  if (openThen !== undefined && openThen !== segmentNamed(folder, 'OPEN')) return place.replace('SEALED', openThen);
  return folderAt(folder, place);
}

function latest(path: string, pattern: RegExp): string | undefined {
  if (!existsSync(path)) return undefined;
  return readdirSync(path)
    .filter((name) => pattern.test(name))
    .sort()
    .at(-1);
}

function changing(folder: string, damage: () => void): Applied {
  const before = fingerprint(folder);
  damage();
  return fingerprint(folder) === before ? 'unchanged' : 'damaged';
}

export const DAMAGE_CASES: readonly DamageCase[] = [
  ...Object.entries(KINDS).flatMap(([kind, place]) =>
    Object.entries(damagesOf(kind)).map(([what, damage]) => fileCase(kind, place, what, damage)),
  ),
  ...Object.entries(FOLDERS).flatMap(([kind, place]) => [
    folderCase(kind, place, 'removed'),
    folderCase(kind, place, 'older'),
  ]),
  WHOLE_FOLDER,
];
