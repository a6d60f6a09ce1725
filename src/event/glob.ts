import { GlobAutomaton } from './glob-automaton.js';
import { type GlobComponent, parseGlob, STAR } from './glob-pattern.js';
import { isSystemNamespace, SYSTEM_NAMESPACE_PREFIX } from './namespace.js';

/** A compiled pattern over namespaces. */
export interface Glob {
  readonly pattern: string;
  /** It matches every namespace but the system's. */
  readonly everything: boolean;
  /** What every namespace that matches begins with; empty where nothing is known. */
  readonly literalPrefix: string;
  /** Steps: at most the pattern's length times the namespace's, of which 32 are taken at once. */
  matches(namespace: string): boolean;
}

/** Everything but the system's. */
export const DEFAULT_GLOB = '/**/*';

// What the contract's table means for the cases that it does not spell out.
// Pattern and name are taken apart at their slashes and compared component by
// component, so "/foo" has two, the first of them empty, and "/foo/" has three.
//
// - An empty component is one like any other: "*" and "**" match it, "?" does
//   not. "/*" matches "/"; "/foo/*" matches "/foo/", not "/foo"; "/foo/*/bar" and
//   "/foo/**/bar" match "/foo//bar", "/foo/bar" does not.
// - "**" in front or in the middle stands for zero or more components: "**/foo"
//   matches "foo" and, with the empty one, "/foo".
// - "**" at the end stands for one or more, that is, for "**/*": so "/foo/**"
//   matches "/foo/" and what is below it, not "/foo"; "**" alone matches every
//   name that has no component with a leading dot.
// - Neighbouring "**" are one, so "/**/**/*" too is the default glob. Only the
//   default glob is everything; "**" and "/**" mind leading dots.
// - A component's leading dot needs a literal dot that stands first, or after a
//   star that matches nothing: "/*.x" matches "/.x"; "/*[.]x" and "/?x" do not.
//   "**" never passes over a component with a leading dot.
// - A "/" in a class is a member that nothing can match: "[a/b]" is "[ab]".

/**
 * Compiles a pattern. INVALID_ARGUMENT names `field` and the character, counted
 * from 1, that is wrong.
 */
export function compileGlob(pattern: string, field = 'glob'): Glob {
  const parsed = parseGlob(pattern, field);
  const everything = isEverything(parsed);
  const components = parsed.at(-1)?.kind === 'recursive' ? [...parsed, ONE_COMPONENT] : parsed;
  const literalPrefix = everything ? '' : literalPrefixOf(components);
  const matchesForm = everything ? () => true : matcherOf(components, literalPrefix);
  const system = pattern.startsWith(SYSTEM_NAMESPACE_PREFIX);
  const matches = (namespace: string): boolean => (system || !isSystemNamespace(namespace)) && matchesForm(namespace);
  return { pattern, everything, literalPrefix, matches };
}

/** The cheapest way to match what a pattern consists of. */
function matcherOf(components: readonly GlobComponent[], prefix: string): (name: string) => boolean {
  if (components.every((component) => component.kind === 'literal')) return (name) => name === prefix;
  const recursive = components.findIndex((component) => component.kind === 'recursive');
  // Everything below a literal path, as most consumers ask for: only a leading dot can stand in a name's way.
  const literalAbove =
    recursive > 0 && components.slice(0, recursive).every((component) => component.kind === 'literal');
  if (literalAbove && recursive === components.length - 2 && components.at(-1) === ONE_COMPONENT) {
    return (name) => name.startsWith(prefix) && !name.includes('/.', prefix.length - 1);
  }
  const automaton = new GlobAutomaton(components);
  return (name) => name.startsWith(prefix) && automaton.matches(name);
}

const ONE_COMPONENT: GlobComponent = { kind: 'tokens', tokens: [STAR] };

// Whether these are the components of "/**/*" or "**/*".
function isEverything(components: readonly GlobComponent[]): boolean {
  const [first, ...rest] = components;
  const tail = first?.kind === 'literal' && first.text === '' ? rest : components;
  const [recursive, last] = tail;
  return (
    tail.length === 2 &&
    recursive?.kind === 'recursive' &&
    last?.kind === 'tokens' &&
    last.tokens.length === 1 &&
    last.tokens[0]?.kind === 'star'
  );
}

function literalPrefixOf(components: readonly GlobComponent[]): string {
  let prefix = '';
  for (const [position, component] of components.entries()) {
    if (component.kind === 'recursive') return prefix;
    if (component.kind === 'tokens') {
      for (const token of component.tokens) {
        if (token.kind !== 'literal') return prefix;
        prefix += String.fromCodePoint(token.codePoint);
      }
    } else {
      prefix += component.text;
    }
    if (position < components.length - 1) prefix += '/';
  }
  return prefix;
}
