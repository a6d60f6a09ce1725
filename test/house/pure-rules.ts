import ts from 'typescript';
import { codeFiles, type Finding, read } from './tidy-rules.js';

const PURE_FOLDERS = ['src/base', 'src/event', 'src/raft', 'src/machine'];
/** What these decide is a function of their inputs; src/base only lends them its parts. */
const DECIDING_FOLDERS = ['src/event', 'src/raft', 'src/machine'];
/** The one function that may be given to what decides: seeded, it draws the same numbers in every run. */
const RANDOM_SOURCE = 'Random';

/**
 * What a pure folder must not name: clocks, entropy, waiting, the process, and
 * whatever depends on the machine's locale. The compiler holds part of this
 * line; `Date`, `Math` and `Promise` are the language's own, so this test does.
 */
export function impurities(root: string): Finding[] {
  return codeFiles(root)
    .filter((path) => isIn(path, PURE_FOLDERS))
    .flatMap((path) => findings(parse(root, path), impurity));
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

/** `state.process` and `{ process: … }` are fields, not the global. */
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

/**
 * Nothing is pulled from outside while a pure folder decides: whatever it has to know is an input. So no class there
 * keeps a function that it was given, and no interface asks for one, beside the seeded random source. A function that
 * is handed to a call and used within it, such as a comparison, is part of that call's input.
 */
export function callbacksIntoDecisions(root: string): Finding[] {
  const sources = codeFiles(root)
    .filter((path) => isIn(path, PURE_FOLDERS))
    .map((path) => parse(root, path));
  const functionTypes = new Set(sources.flatMap(namedFunctionTypes).filter((name) => name !== RANDOM_SOURCE));
  return sources
    .filter(({ fileName }) => isIn(fileName, DECIDING_FOLDERS))
    .flatMap((source) => findings(source, (node) => keptFunction(node, functionTypes)));
}

function namedFunctionTypes(source: ts.SourceFile): string[] {
  return source.statements.flatMap((statement) =>
    ts.isTypeAliasDeclaration(statement) && holdsFunction(statement.type, new Set()) ? [statement.name.text] : [],
  );
}

function keptFunction(node: ts.Node, functionTypes: ReadonlySet<string>): string | undefined {
  const isKept =
    ts.isPropertySignature(node) ||
    ts.isPropertyDeclaration(node) ||
    (ts.isParameter(node) && ts.isConstructorDeclaration(node.parent));
  const isOption =
    ts.isMethodSignature(node) &&
    ts.isInterfaceDeclaration(node.parent) &&
    /(Options|Settings)$/.test(node.parent.name.text);
  if (!isOption && !(isKept && node.type !== undefined && holdsFunction(node.type, functionTypes))) return undefined;
  return `${node.name?.getText()} is a function from outside: make what it tells an input`;
}

/** A function type itself, one of several that are possible, or one by name; not a function somewhere inside. */
function holdsFunction(type: ts.TypeNode, functionTypes: ReadonlySet<string>): boolean {
  if (ts.isFunctionTypeNode(type)) return true;
  if (ts.isParenthesizedTypeNode(type)) return holdsFunction(type.type, functionTypes);
  if (ts.isUnionTypeNode(type)) return type.types.some((each) => holdsFunction(each, functionTypes));
  return ts.isTypeReferenceNode(type) && functionTypes.has(type.typeName.getText());
}

function isIn(path: string, folders: readonly string[]): boolean {
  return folders.some((folder) => path.startsWith(`${folder}/`));
}

function parse(root: string, path: string): ts.SourceFile {
  return ts.createSourceFile(path, read(root, path), ts.ScriptTarget.Latest, true);
}

function findings(source: ts.SourceFile, judge: (node: ts.Node) => string | undefined): Finding[] {
  const found: Finding[] = [];
  const visit = (node: ts.Node): void => {
    const what = judge(node);
    if (what !== undefined)
      found.push(`${source.fileName}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${what}`);
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}
