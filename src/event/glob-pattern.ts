import { FlotillaError, LIMITS } from '../base/index.js';
import { excerpt } from './excerpt.js';
import { utf8Length } from './text.js';

/** What stands for one character of a name, or, a star, for any number of them. */
export type GlobToken =
  | { readonly kind: 'literal'; readonly codePoint: number }
  | { readonly kind: 'any' }
  | { readonly kind: 'star' }
  /** `ranges` holds pairs: first and last code point. */
  | { readonly kind: 'class'; readonly negated: boolean; readonly ranges: readonly number[] };

/** What stands for one component of a name, or, recursive, for any number of them. */
export type GlobComponent =
  | { readonly kind: 'recursive' }
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'tokens'; readonly tokens: readonly GlobToken[] };

export const STAR: GlobToken = { kind: 'star' };
const ANY: GlobToken = { kind: 'any' };
const RECURSIVE: GlobComponent = { kind: 'recursive' };

/**
 * The components between a pattern's slashes, neighbouring `**` taken together.
 * A class ends at its own `]`: a slash in it separates nothing and, as no
 * character that a class may match is one, matches nothing either.
 *
 * Throws INVALID_ARGUMENT with `field` and the character, counted from 1, that
 * is wrong.
 */
export function parseGlob(pattern: string, field: string): GlobComponent[] {
  checkText(pattern, field);
  const characters = [...pattern];
  const components: GlobComponent[] = [];
  let tokens: GlobToken[] = [];
  let at = 0;
  while (at < characters.length) {
    const character = characters[at] ?? '';
    if (character === '/') {
      components.push(componentOf(tokens));
      tokens = [];
      at++;
    } else if (character === '*' && characters[at + 1] === '*') {
      checkRecursive(characters, at, pattern, field);
      if (components.at(-1)?.kind !== 'recursive') components.push(RECURSIVE);
      // Its slash goes with it; at the pattern's end there is none.
      at += 3;
      if (at > characters.length) return components;
    } else if (character === '[') {
      const end = classEnd(characters, at);
      if (end === undefined) throw refused(pattern, field, at, 'this "[" opens a class that has no member or no "]"');
      tokens.push(parseClass(characters.slice(at + 1, end)));
      at = end + 1;
    } else {
      tokens.push(tokenOf(character));
      at++;
    }
  }
  components.push(componentOf(tokens));
  return components;
}

function checkText(pattern: string, field: string): void {
  const refusal = (why: string): FlotillaError =>
    new FlotillaError('INVALID_ARGUMENT', `${field}: the glob ${excerpt(pattern)} ${why}`);
  if (pattern === '') throw refusal('is empty at character 1: write "/**/*" for everything');
  const bytes = pattern.length > LIMITS.globBytes ? pattern.length : utf8Length(pattern);
  if (bytes === undefined) throw refusal('holds a lone surrogate, which is not Unicode text');
  if (bytes > LIMITS.globBytes) throw refusal(`is longer than ${LIMITS.globBytes} bytes`);
  if (pattern.includes('\0')) throw refusal(`holds a NUL character at character ${[...pattern].indexOf('\0') + 1}`);
}

/** Two stars are a whole component or an error. */
function checkRecursive(characters: readonly string[], at: number, pattern: string, field: string): void {
  const before = characters[at - 1];
  const after = characters[at + 2];
  if (after === '*') throw refused(pattern, field, at, 'there are more than two stars in a row');
  if ((before !== undefined && before !== '/') || (after !== undefined && after !== '/')) {
    throw refused(pattern, field, at, '"**" must be a whole component, between slashes');
  }
}

function refused(pattern: string, field: string, at: number, why: string): FlotillaError {
  return new FlotillaError(
    'INVALID_ARGUMENT',
    `${field}: the glob ${excerpt(pattern)} is wrong at character ${at + 1}: ${why}`,
  );
}

function tokenOf(character: string): GlobToken {
  if (character === '*') return STAR;
  if (character === '?') return ANY;
  return { kind: 'literal', codePoint: codePointOf(character) };
}

/** Position of the `]` that ends the class which opens at `start`. Its first member may be a `]` itself. */
function classEnd(characters: readonly string[], start: number): number | undefined {
  const first = characters[start + 1] === '!' ? start + 2 : start + 1;
  const end = characters.indexOf(']', first + 1);
  return end === -1 ? undefined : end;
}

/** Reads what stands between the brackets. A `-` that is not between two members is one itself. */
function parseClass(characters: readonly string[]): GlobToken {
  const negated = characters[0] === '!';
  const members = (negated ? characters.slice(1) : characters).map(codePointOf);
  const ranges: number[] = [];
  for (let at = 0; at < members.length; ) {
    const first = members[at] ?? 0;
    const last = members[at + 2];
    if (characters[at + (negated ? 2 : 1)] === '-' && last !== undefined) {
      ranges.push(first, last);
      at += 3;
    } else {
      ranges.push(first, first);
      at++;
    }
  }
  return { kind: 'class', negated, ranges };
}

function componentOf(tokens: readonly GlobToken[]): GlobComponent {
  let text = '';
  for (const token of tokens) {
    if (token.kind !== 'literal') return { kind: 'tokens', tokens };
    text += String.fromCodePoint(token.codePoint);
  }
  return { kind: 'literal', text };
}

function codePointOf(character: string): number {
  return character.codePointAt(0) ?? 0;
}
