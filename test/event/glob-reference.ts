/**
 * The glob's contract once more, as a translation into a backtracking regular
 * expression: slow, and short enough to be compared with the contract's table
 * line by line. Undefined where the pattern is refused.
 */
export function referenceGlob(pattern: string): ((name: string) => boolean) | undefined {
  if (pattern === '') return undefined;
  const units = tokenize(pattern);
  if (units === undefined) return undefined;
  const components = split(units);
  if (components.some((component) => component.includes('**') && component.length > 1)) return undefined;

  const collapsed = components.filter((component, at) => !(component[0] === '**' && components[at - 1]?.[0] === '**'));
  const shape = JSON.stringify(collapsed);
  if (shape === '[[],["**"],["*"]]' || shape === '[["**"],["*"]]') return (name) => !name.startsWith('/$');

  let source = '';
  for (const [at, component] of components.entries()) {
    const last = at === components.length - 1;
    if (component[0] === '**') source += last ? `(?:${VISIBLE}/)*${VISIBLE}` : `(?:${VISIBLE}/)*`;
    else source += componentSource(component) + (last ? '' : '/');
  }
  const expression = new RegExp(`^${source}$`, 'u');
  return (name) => (name.startsWith('/$') && !pattern.startsWith('/$') ? false : expression.test(name));
}

/** A whole component without a leading dot. */
const VISIBLE = '(?!\\.)[^/]*';

/** `/`, `*`, `**`, `?`, a class with its brackets, or a character. Undefined where one is malformed. */
function tokenize(pattern: string): string[] | undefined {
  const units: string[] = [];
  let rest = pattern;
  while (rest !== '') {
    if (rest.startsWith('[')) {
      const match = /^\[!?[\s\S][^\]]*\]/u.exec(rest);
      // With "!" as its only member a class would be "[!]", which is refused.
      const negated = /^\[![\s\S][^\]]*\]/u.exec(rest);
      const unit = rest.startsWith('[!') ? negated?.[0] : match?.[0];
      if (unit === undefined) return undefined;
      units.push(unit);
      rest = rest.slice(unit.length);
      continue;
    }
    const stars = /^\*+/.exec(rest)?.[0];
    if (stars !== undefined) {
      if (stars.length > 2) return undefined;
      units.push(stars);
      rest = rest.slice(stars.length);
      continue;
    }
    const character = String.fromCodePoint(rest.codePointAt(0) ?? 0);
    units.push(character);
    rest = rest.slice(character.length);
  }
  return units;
}

function split(units: readonly string[]): string[][] {
  const components: string[][] = [[]];
  for (const unit of units) {
    if (unit === '/') components.push([]);
    else components.at(-1)?.push(unit);
  }
  return components;
}

/** Either the component has no leading dot, or a literal one takes it. */
function componentSource(units: readonly string[]): string {
  const afterStars = units.slice(units.findIndex((unit) => unit !== '*'));
  const visible = `(?!\\.)${units.map(unitSource).join('')}`;
  const hidden = afterStars[0] === '.' ? afterStars.map(unitSource).join('') : '[]';
  return `(?:${visible}|${hidden})`;
}

function unitSource(unit: string): string {
  if (unit === '*') return '[^/]*';
  if (unit === '?') return '[^/]';
  if (unit.length > 1 && unit.startsWith('[')) return classSource(unit.slice(1, -1));
  return escaped(unit);
}

function classSource(inside: string): string {
  const negated = inside.startsWith('!');
  const members = [...(negated ? inside.slice(1) : inside)];
  const alternatives: string[] = [];
  while (members.length > 0) {
    const [first = '', dash, last] = members;
    if (dash === '-' && last !== undefined) {
      if (codePoint(first) <= codePoint(last))
        alternatives.push(`[\\u{${codePoint(first).toString(16)}}-\\u{${codePoint(last).toString(16)}}]`);
      members.splice(0, 3);
    } else {
      alternatives.push(escaped(first));
      members.shift();
    }
  }
  const any = alternatives.length === 0 ? '[]' : `(?:${alternatives.join('|')})`;
  return negated ? `(?!${any})[^/]` : `(?!/)${any}`;
}

function escaped(character: string): string {
  return `\\u{${codePoint(character).toString(16)}}`;
}

function codePoint(character: string): number {
  return character.codePointAt(0) ?? 0;
}
