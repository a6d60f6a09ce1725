import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the matrix looks in a stopped node's folder: SEALED and the like stand for a segment of that state. */
export type Place =
  | ''
  | 'lock'
  | 'groups/1'
  | `groups/1/segments/${SegmentState}`
  | `groups/1/segments/${SegmentState}/db`;
export type SegmentState = 'FIRST' | 'SEALED' | 'OPEN' | 'AHEAD';

/** Names of a group's segments, oldest first. */
export interface FoundSegments {
  readonly begun: readonly string[];
  /** Opened ahead of its use. */
  readonly ahead: string | undefined;
}

export function segmentsOf(folder: string): FoundSegments {
  const path = join(folder, 'groups/1/segments');
  const names = existsSync(path) ? readdirSync(path).filter((name) => /^\d{10}$/.test(name)) : [];
  const begun = names.filter((name) => existsSync(join(path, name, 'header'))).sort();
  return { begun, ahead: names.filter((name) => !begun.includes(name)).sort()[0] };
}

/**
 * Undefined where there is none. SEALED is neither the first nor the open one, so that it has a checkpoint which can be
 * made again.
 */
export function segmentNamed(folder: string, state: SegmentState): string | undefined {
  const { begun, ahead } = segmentsOf(folder);
  if (state === 'AHEAD') return ahead;
  if (state === 'OPEN') return begun.at(-1);
  if (state === 'FIRST') return begun.length > 1 ? begun[0] : undefined;
  return begun.length > 2 ? begun[1] : undefined;
}

/** Undefined where there is no segment of that state. */
export function folderAt(folder: string, place: Place): string | undefined {
  const state = (['FIRST', 'SEALED', 'OPEN', 'AHEAD'] as const).find((name) => place.includes(name));
  if (state === undefined) return place;
  const name = segmentNamed(folder, state);
  return name === undefined ? undefined : place.replace(state, name);
}

/** Digest of every name and every byte in a node's folder, but for what was put aside. */
export function fingerprint(folder: string): string {
  const hash = createHash('sha256');
  const visit = (path: string): void => {
    const entries = readdirSync(join(folder, path), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const name = join(path, entry.name);
      if (name.startsWith('damaged-')) continue;
      hash.update(`${name}\0`);
      if (entry.isDirectory()) visit(name);
      else hash.update(readFileSync(join(folder, name)));
    }
  };
  visit('');
  return hash.digest('hex');
}

/** Which node this was when the folder was copied; undefined where that can't be read. */
export function instanceOf(folder: string): string | undefined {
  const path = join(folder, 'identity');
  return existsSync(path) ? /"instance":"([0-9a-f]{32})"/.exec(readFileSync(path, 'utf8'))?.[1] : undefined;
}
