import { join } from 'node:path';
import ts from 'typescript';
import type { Finding } from './tidy-rules.js';

/** What a class may be given to work with: more, and it does the work of several. */
const COLLABORATORS_MAX = 8;

/** The compiled program of `root`'s own settings, for what only the compiler's view of types can tell. */
export function programOf(root: string): ts.Program {
  const config = ts.getParsedCommandLineOfConfigFile(
    join(root, 'tsconfig.json'),
    {},
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => undefined },
  );
  if (config === undefined) throw new Error(`${root} has no tsconfig.json that can be read`);
  const ours = config.fileNames.filter((path) => isProduction(relativeTo(root, path)));
  return ts.createProgram(ours, config.options);
}

/**
 * Counts what a class is given to work with: parameters of its constructor, and properties of the options among them,
 * that are functions or have methods. Values, such as numbers, settings and records, do not count. `ratchet` names the
 * classes that may have more, with their number.
 */
export function collaborators(root: string, program: ts.Program, ratchet: Readonly<Record<string, number>>): Finding[] {
  const checker = program.getTypeChecker();
  return productionClasses(root, program).flatMap(([path, node]) => {
    const given = constructorOf(node)?.parameters.flatMap((parameter) => collaboratorsIn(checker, root, parameter));
    const count = new Set(given).size;
    const name = node.name?.text ?? '';
    const most = ratchet[name] ?? COLLABORATORS_MAX;
    if (count > most)
      return [`${path}: ${name} is given ${count} collaborators, more than ${most}: ${given?.join(', ')}`];
    return name in ratchet && count <= COLLABORATORS_MAX ? [`${path}: ${name} needs its ratchet no more`] : [];
  });
}

/** What one parameter brings, by name. Options are looked into, for one more level of types. */
function collaboratorsIn(checker: ts.TypeChecker, root: string, parameter: ts.ParameterDeclaration): string[] {
  const type = checker.getNonNullableType(checker.getTypeAtLocation(parameter));
  if (type.getCallSignatures().length > 0 || isClass(type)) return [parameter.name.getText()];
  if (!isDeclaredHere(root, type)) return [];
  const behaving = type.getProperties().filter((property) => isCollaborator(checker, root, property));
  // An interface of methods is one collaborator; options, whose properties are ones, are several.
  const isOneOfThem = behaving.some((property) => (property.flags & ts.SymbolFlags.Method) !== 0);
  return isOneOfThem ? [parameter.name.getText()] : behaving.map((property) => property.name);
}

function isCollaborator(checker: ts.TypeChecker, root: string, property: ts.Symbol): boolean {
  return acts(checker, root, checker.getNonNullableType(checker.getTypeOfSymbol(property)));
}

function acts(checker: ts.TypeChecker, root: string, type: ts.Type): boolean {
  if (type.isUnion()) return type.types.some((each) => acts(checker, root, each));
  if (type.getCallSignatures().length > 0) return true;
  if (!isDeclaredHere(root, type)) return false;
  const methods = type
    .getProperties()
    .filter((each) => checker.getTypeOfSymbol(each).getCallSignatures().length > 0 && isNamedHere(root, each));
  return isClass(type) || methods.length > 0;
}

function isClass(type: ts.Type): boolean {
  return type.isClass() || type.getSymbol()?.declarations?.some(ts.isClassDeclaration) === true;
}

function isDeclaredHere(root: string, type: ts.Type): boolean {
  const symbols = [type.getSymbol(), type.aliasSymbol].filter((symbol) => symbol !== undefined);
  return type.isIntersection() || symbols.some((symbol) => isNamedHere(root, symbol));
}

function isNamedHere(root: string, symbol: ts.Symbol): boolean {
  const declared = symbol.declarations ?? [];
  return declared.some((each) => isProduction(relativeTo(root, each.getSourceFile().fileName)));
}

/**
 * A function that is handed to a collaborator, and reaches into a field that is assigned only later, works by the luck
 * of when it is called: what belongs together was cut apart. `ratchet` names the fields that may be, as `Class.field`.
 */
export function lateFields(root: string, program: ts.Program, ratchet: readonly string[]): Finding[] {
  return productionClasses(root, program).flatMap(([path, node]) => {
    const late = [...new Set(lateFieldsOf(node))].map((field) => `${node.name?.text}.${field}`);
    return late
      .filter((field) => !ratchet.includes(field))
      .map((field) => `${path}: a function that reaches into ${field} is handed out before that is assigned`);
  });
}

function lateFieldsOf(node: ts.ClassDeclaration): string[] {
  const made = constructorOf(node);
  if (made?.body === undefined) return [];
  const waiting = new Set(
    node.members
      .filter(ts.isPropertyDeclaration)
      .filter(({ initializer, type }) => initializer === undefined && !mayBeUndefined(type))
      .map(({ name }) => name.getText()),
  );
  const found: string[] = [];
  for (const statement of made.body.statements) {
    visit(statement, (each) => {
      if (ts.isNewExpression(each) || ts.isCallExpression(each))
        for (const argument of each.arguments ?? []) found.push(...reachedFrom(argument, waiting));
    });
    visit(statement, (each) => {
      if (isAssignment(each) && isFieldOfThis(each.left)) waiting.delete(each.left.name.text);
    });
  }
  return found;
}

/** A field that may be undefined says so, and is asked for what it is: it stands for a state, not for a part. */
function mayBeUndefined(type: ts.TypeNode | undefined): boolean {
  return (
    type !== undefined &&
    ts.isUnionTypeNode(type) &&
    type.types.some(({ kind }) => kind === ts.SyntaxKind.UndefinedKeyword)
  );
}

function reachedFrom(argument: ts.Node, waiting: ReadonlySet<string>): string[] {
  const found: string[] = [];
  visit(argument, (each) => {
    if (!ts.isArrowFunction(each)) return;
    visit(each.body, (inner) => {
      if (isFieldOfThis(inner) && waiting.has(inner.name.text)) found.push(inner.name.text);
    });
  });
  return found;
}

function isFieldOfThis(node: ts.Node): node is ts.PropertyAccessExpression {
  return ts.isPropertyAccessExpression(node) && node.expression.kind === ts.SyntaxKind.ThisKeyword;
}

function isAssignment(node: ts.Node): node is ts.BinaryExpression {
  return ts.isBinaryExpression(node) && node.operatorToken.kind === ts.SyntaxKind.EqualsToken;
}

function visit(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node);
  ts.forEachChild(node, (child) => visit(child, see));
}

function productionClasses(root: string, program: ts.Program): [path: string, node: ts.ClassDeclaration][] {
  return program.getSourceFiles().flatMap((source) => {
    const path = relativeTo(root, source.fileName);
    if (!isProduction(path) || path.startsWith('src/wire/gen/')) return [];
    return source.statements.filter(ts.isClassDeclaration).map((node): [string, ts.ClassDeclaration] => [path, node]);
  });
}

function constructorOf(node: ts.ClassDeclaration): ts.ConstructorDeclaration | undefined {
  return node.members.find(ts.isConstructorDeclaration);
}

function relativeTo(root: string, path: string): string {
  return path.startsWith(`${root}/`) ? path.slice(root.length + 1) : path;
}

function isProduction(path: string): boolean {
  return /^(src|cli)\//.test(path);
}
