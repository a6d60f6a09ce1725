import { readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { JOINED_TITLES, LONG_FILES, WIDE_LINES } from './ratchets.js';

/** One broken rule, as a line that says where and what. */
export type Finding = string;

const LINES_MAX = 400;
const COLUMNS_MAX = 120;
const VAGUE_NAMES = /^(utils?|helpers?|commons?|managers?|misc|stuff)$|[-.](utils?|helpers?|manager)$/;
const CODE = new Set(['.ts', '.mjs', '.cjs', '.js']);
const UNTRACKED = new Set(['node_modules', 'dist', '.git', '.setup', '.flotilla', 'coverage']);
const GENERATED = 'src/wire/gen/';

/** Every file that is ours to keep in order, relative to `root`. */
export function houseFiles(root: string): string[] {
  const below = (folder: string): string[] =>
    readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (UNTRACKED.has(entry.name) || entry.name.endsWith('.tgz')) return [];
      if (entry.isDirectory()) return below(path);
      return entry.isFile() ? [path] : [];
    });
  return below('').filter((path) => !path.startsWith(GENERATED));
}

export function longFiles(root: string): Finding[] {
  return codeFiles(root).flatMap((path) => {
    const lines = read(root, path).trimEnd().split('\n').length;
    const most = LONG_FILES[path] ?? LINES_MAX;
    if (lines > most)
      return [`${path} has ${lines} lines, more than ${most}: which of its ideas wants a file of its own?`];
    return path in LONG_FILES && lines <= LINES_MAX ? [`${path} needs its ratchet no more`] : [];
  });
}

/** The formatter breaks code; comments and string literals are broken by hand. */
export function wideLines(root: string): Finding[] {
  return codeFiles(root)
    .filter((path) => !WIDE_LINES.some((start) => path.startsWith(start)))
    .flatMap((path) =>
      read(root, path)
        .split('\n')
        .flatMap((line, position) =>
          [...line].length > COLUMNS_MAX ? [`${path}:${position + 1} is wider than ${COLUMNS_MAX} characters`] : [],
        ),
    );
}

export function vagueNames(root: string): Finding[] {
  return houseFiles(root).flatMap((path) => {
    const parts = path.split('/');
    const last = basename(path, extname(path)).replace(/\.(test|d)$/, '');
    const vague = [...parts.slice(0, -1), last].find((part) => VAGUE_NAMES.test(part));
    return vague === undefined ? [] : [`${path}: "${vague}" says nothing; name what it does`];
  });
}

export function foldersWithoutEntry(root: string): Finding[] {
  const files = new Set(houseFiles(root));
  const folders = new Set([...files].flatMap((path) => /^src\/[^/]+(?=\/)/.exec(path)?.[0] ?? []));
  return [...folders]
    .filter((folder) => !files.has(`${folder}/index.ts`))
    .map((folder) => `${folder} has no index.ts to enter by`);
}

export function unrunTests(root: string): Finding[] {
  const marks = /\b(?:test|it|describe|suite|t|context)\.(?:only|skip|todo)\b|\b(?:only|skip|todo): *(?:true|['"`])/;
  return matches(
    root,
    (path) => path.startsWith('test/') && path.endsWith('.test.ts'),
    marks,
    'a test that does not run',
  );
}

/** A title is a sentence. Names of methods may begin it, and codes and options may stand in it. */
export function joinedTitles(root: string): Finding[] {
  const marks = /\b(?:test|it|describe|suite)\(\s*['"`](\w*[a-z]\w*_\w+)/g;
  return houseFiles(root)
    .filter((path) => path.startsWith('test/') && path.endsWith('.test.ts'))
    .filter((path) => !JOINED_TITLES.some((start) => path.startsWith(start)))
    .flatMap((path) => [...read(root, path).matchAll(marks)].map(([, title]) => `${path}: "${title}" is no sentence`));
}

export function postponedWork(root: string): Finding[] {
  const marks = /\b(?:TODO|FIXME|XXX|HACK)\b|@ts-(?:ignore|nocheck)/;
  return matches(
    root,
    (path) => /^(src|cli|scripts|cluster-examples)\//.test(path),
    marks,
    'postponed work belongs in an issue',
  );
}

/** Paths of the machine a file was written on, and hosts of a package registry. */
export function tracesOfWorkplace(root: string): Finding[] {
  const around = dirname(root);
  const shared = ['/', '/home', '/root', '/tmp', '/Users', tmpdir(), dirname(tmpdir())];
  const places = [`${root}/`, ...(shared.includes(around) ? [] : [`${around}/`])];
  const marks = new RegExp([...places.map(literally), 'registry\\.[a-z]+js\\.'].join('|'));
  return matches(root, () => true, marks, "this machine's paths and registries mean nothing elsewhere");
}

/** npm runs scripts in whatever shell there is: `&&` works in all of them. */
export function shellSyntax(scripts: Readonly<Record<string, string>>): Finding[] {
  return Object.entries(scripts).flatMap(([name, script]) => {
    const found = /[^\w\s./:@=-]/.exec(script.replaceAll(' && ', ' '));
    return found === null ? [] : [`script "${name}" uses ${found[0]}, which not every shell understands`];
  });
}

function matches(root: string, where: (path: string) => boolean, marks: RegExp, why: string): Finding[] {
  return houseFiles(root)
    .filter((path) => where(path) && statSync(join(root, path)).size < 1_000_000)
    .flatMap((path) =>
      read(root, path)
        .split('\n')
        .flatMap((line, position) => {
          const found = marks.exec(line);
          return found === null ? [] : [`${path}:${position + 1}: ${found[0].trim()}: ${why}`];
        }),
    );
}

export function codeFiles(root: string): string[] {
  return houseFiles(root).filter((path) => CODE.has(extname(path)));
}

export function read(root: string, path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
