import { present } from '../base/index.js';
import { type GlobComponent, type GlobToken, parseGlob, STAR } from './glob-pattern.js';
import { isSystemNamespace, SYSTEM_NAMESPACE_PREFIX } from './namespace.js';

/** A compiled pattern over namespaces. */
export interface Glob {
  readonly pattern: string;
  /** It matches every namespace but the system's. */
  readonly everything: boolean;
  /** What every namespace that matches begins with; empty where nothing is known. */
  readonly literalPrefix: string;
  /** Steps: at most the pattern's length times the namespace's. */
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
  if (recursive === -1) return (name) => name.startsWith(prefix) && matchesSameDepth(components, name);
  // Everything below a literal path, as most consumers ask for: only a leading dot can stand in a name's way.
  const literalAbove = recursive > 0 && components.slice(0, recursive).every((component) => component.kind === 'literal');
  if (literalAbove && recursive === components.length - 2 && components.at(-1) === ONE_COMPONENT) {
    return (name) => name.startsWith(prefix) && !name.includes('/.', prefix.length - 1);
  }
  const matchesAnyDepth = anyDepthMatcher(components);
  return (name) => name.startsWith(prefix) && matchesAnyDepth(name);
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

/** Without `**` the n-th component of the pattern stands for the n-th of the name. */
function matchesSameDepth(components: readonly GlobComponent[], name: string): boolean {
  let start = 0;
  for (const [position, component] of components.entries()) {
    const slash = name.indexOf('/', start);
    const isLast = position === components.length - 1;
    if (isLast !== (slash === -1)) return false;
    const end = isLast ? name.length : slash;
    if (!matchesComponent(component, name, start, end)) return false;
    start = end + 1;
  }
  return true;
}

// Walks along the name with the set of positions in the pattern that its
// components so far can have led to. A single point to go back to, which is
// enough for stars among characters, is not enough here, because "**" can't pass
// over a component with a leading dot: for "**/*.x/**/c" and "y.x/.x/c" the
// first match of "*.x" is the wrong one.
function anyDepthMatcher(components: readonly GlobComponent[]): (name: string) => boolean {
  // Room for the two sets, used again by each call.
  let reached = new Uint8Array(components.length + 1);
  let next = new Uint8Array(components.length + 1);

  return (name) => {
    reached.fill(0);
    reach(components, reached, 0);
    for (let start = 0; start <= name.length; ) {
      const slash = name.indexOf('/', start);
      const end = slash === -1 ? name.length : slash;
      next.fill(0);
      let alive = false;
      for (let position = 0; position < components.length; position++) {
        const component = components[position];
        if (reached[position] === 0 || component === undefined) continue;
        if (!matchesComponent(component, name, start, end)) continue;
        reach(components, next, component.kind === 'recursive' ? position : position + 1);
        alive = true;
      }
      if (!alive) return false;
      [reached, next] = [next, reached];
      start = end + 1;
    }
    return reached[components.length] === 1;
  };
}

/** Notes a position, and the one after each `**` there, which may stand for nothing. */
function reach(components: readonly GlobComponent[], positions: Uint8Array, position: number): void {
  positions[position] = 1;
  // Neighbouring `**` are one, so there is never a second to step over.
  if (components[position]?.kind === 'recursive') positions[position + 1] = 1;
}

const DOT = 0x2e;

/** Whether a component can stand for `name` from `start` to `end`, in which there is no slash. */
function matchesComponent(component: GlobComponent, name: string, start: number, end: number): boolean {
  const hidden = start < end && name.charCodeAt(start) === DOT;
  switch (component.kind) {
    case 'recursive':
      return !hidden;
    case 'literal':
      return end - start === component.text.length && name.startsWith(component.text, start);
    case 'tokens': {
      const { tokens } = component;
      if (!hidden) return matchesTokens(tokens, 0, name, start, end);
      // Only a literal dot may take the leading one, so a star before it takes nothing.
      const first = tokens[0]?.kind === 'star' ? 1 : 0;
      const token = tokens[first];
      return token?.kind === 'literal' && token.codePoint === DOT && matchesTokens(tokens, first + 1, name, start + 1, end);
    }
  }
}

/**
 * Matches characters with one point to go back to, the last star: every other
 * token takes exactly one character, so the earliest match up to a star leaves
 * the most for what comes after it.
 */
function matchesTokens(tokens: readonly GlobToken[], first: number, name: string, start: number, end: number): boolean {
  let position = first;
  let at = start;
  let star = -1;
  let starAt = start;
  while (at < end) {
    const token = tokens[position];
    if (token?.kind === 'star') {
      star = position++;
      starAt = at;
      continue;
    }
    const codePoint = codePointAt(name, at);
    if (token !== undefined && accepts(token, codePoint)) {
      position++;
      at += widthOf(codePoint);
    } else {
      if (star === -1) return false;
      // The star takes one character more.
      starAt += widthOf(codePointAt(name, starAt));
      at = starAt;
      position = star + 1;
    }
  }
  while (tokens[position]?.kind === 'star') position++;
  return position === tokens.length;
}

function accepts(token: GlobToken, codePoint: number): boolean {
  switch (token.kind) {
    case 'literal':
      return token.codePoint === codePoint;
    case 'any':
      return true;
    case 'star':
      return false;
    case 'class':
      return inRanges(token.ranges, codePoint) !== token.negated;
  }
}

function inRanges(ranges: readonly number[], codePoint: number): boolean {
  for (let at = 0; at < ranges.length; at += 2) {
    if (codePoint >= present(ranges[at], 'ranges are pairs') && codePoint <= present(ranges[at + 1], 'ranges are pairs')) return true;
  }
  return false;
}

function codePointAt(name: string, at: number): number {
  return present(name.codePointAt(at), 'the caller stays within the name');
}

/** UTF-16 units. */
function widthOf(codePoint: number): number {
  return codePoint > 0xffff ? 2 : 1;
}
