import { readdirSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import ts from 'typescript';

/** One broken rule, as a line that says where and what. */
export type Finding = string;

const LINES_MAX = 400;
/** Files that may be longer, with their length: it may shrink and never grow. Meant to stay empty. */
const LONG_FILES: Readonly<Record<string, number>> = {
  'src/node/node.ts': 443,
  'src/peer/links.ts': 442,
  'src/raft/core.ts': 431,
  'src/replica/replica.ts': 423,
  'src/sim/cluster.ts': 419,
  'src/storage/segment/segment.ts': 418,
  'test/contract/storage.test.ts': 406,
  'test/event/glob.test.ts': 404,
  'test/node/config.test.ts': 420,
  'test/peer/links.test.ts': 419,
  'test/sim/planted-bugs.ts': 426,
};
const VAGUE_NAMES = /^(utils?|helpers?|commons?|managers?|misc|stuff)$|[-.](utils?|helpers?|manager)$/;
const PURE_FOLDERS = ['src/base', 'src/event', 'src/raft', 'src/machine'];
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
    return lines > most
      ? [`${path} has ${lines} lines, more than ${most}: which of its ideas wants a file of its own?`]
      : [];
  });
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

/**
 * What a pure folder must not name: clocks, entropy, waiting, the process, and
 * whatever depends on the machine's locale. The compiler holds part of this
 * line; `Date`, `Math` and `Promise` are the language's own, so this test does.
 */
export function impurities(root: string): Finding[] {
  return codeFiles(root)
    .filter((path) => PURE_FOLDERS.some((folder) => path.startsWith(`${folder}/`)))
    .flatMap((path) => {
      const source = ts.createSourceFile(path, read(root, path), ts.ScriptTarget.Latest, true);
      const found: Finding[] = [];
      const visit = (node: ts.Node): void => {
        const what = impurity(node);
        if (what !== undefined)
          found.push(`${path}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${what}`);
        ts.forEachChild(node, visit);
      };
      visit(source);
      return found;
    });
}

const FORBIDDEN_NAMES = new Set([
  ...['performance', 'process', 'Buffer', 'console', 'crypto', 'globalThis', 'Promise', 'Intl', 'fetch', 'require'],
  ...[
    'setTimeout',
    'setInterval',
    'setImmediate',
    'queueMicrotask',
    'structuredClone',
    'WeakRef',
    'FinalizationRegistry',
  ],
]);

function impurity(node: ts.Node): string | undefined {
  if (node.kind === ts.SyntaxKind.AsyncKeyword) return 'async';
  if (ts.isAwaitExpression(node)) return 'await';
  if (ts.isForOfStatement(node) && node.awaitModifier !== undefined) return 'for await';
  if (ts.isPropertyAccessExpression(node)) {
    const text = `${node.expression.getText()}.${node.name.text}`;
    if (text === 'Date.now' || text === 'Math.random') return text;
    if (/^(toLocale\w*|localeCompare)$/.test(node.name.text)) return node.name.text;
  }
  if ((ts.isNewExpression(node) || ts.isCallExpression(node)) && node.expression.getText() === 'Date') {
    if (ts.isCallExpression(node) || (node.arguments?.length ?? 0) === 0) return 'the present time by Date';
  }
  if (ts.isIdentifier(node) && FORBIDDEN_NAMES.has(node.text) && !isMemberName(node)) return node.text;
  return undefined;
}

/** `state.process` and `{ process: … }` are somebody's field, not the global. */
function isMemberName(node: ts.Identifier): boolean {
  const parent = node.parent;
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  return (
    (ts.isPropertyAssignment(parent) ||
      ts.isPropertySignature(parent) ||
      ts.isPropertyDeclaration(parent) ||
      ts.isMethodDeclaration(parent)) &&
    parent.name === node
  );
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

function codeFiles(root: string): string[] {
  return houseFiles(root).filter((path) => CODE.has(extname(path)));
}

function read(root: string, path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
