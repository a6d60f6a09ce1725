import { type GlobComponent, type GlobToken, STAR } from './glob-pattern.js';

const SLASH = 0x2f;
const DOT = 0x2e;

/** Characters whose masks are kept: more than the longest name has of different ones. */
const KEPT_MASKS = 640;

/**
 * Tells which names match a pattern, by an automaton with one bit for each state: each step takes one character and
 * moves all states of a word at once (the Shift-And of Baeza-Yates and Gonnet, with loops). So the longest pattern
 * against the longest name takes some 30,000 operations, whatever they are.
 *
 * State i stands before the i-th position of the pattern, the last one behind
 * its end. A position is a character, a `?`, a class, a slash or a `**` with its
 * slash. A `*` is no position: the state in which it stands keeps itself.
 */
export class GlobAutomaton {
  private readonly words: number;
  /** The state behind the pattern's end. */
  private readonly end: number;
  /** States before a `**`: they pass over whole components, and may be left where one begins. */
  private readonly recursive: Int32Array;
  /** The other states: a character may lead from them to the next one. */
  private readonly consuming: Int32Array;
  /** States that a character other than a slash does not end: those of a star, and the recursive ones. */
  private readonly kept: Int32Array;
  private readonly none: Int32Array;
  /** What a character that no class names leads to, if it is no slash. */
  private readonly any: Int32Array;
  /** What a leading dot leads to: only a literal one takes it. */
  private readonly leadingDot: Int32Array;
  /** The states that a literal leads to, by its code point. */
  private readonly literals = new Map<number, number[]>();
  /**
   * What classes lead to beside `any`: from each of `edges` on, up to the next one, the mask of that position; before
   * the first, the first mask.
   */
  private readonly edges: readonly number[];
  private readonly classMasks: readonly Int32Array[];
  /** The states that a code point leads to. */
  private readonly masks = new Map<number, Int32Array>();
  /** The states so far; used again by each call. */
  private readonly states: Int32Array;
  /** Number of words in use: no state in a word behind these was reached yet. */
  private reachedWords = 1;

  constructor(components: readonly GlobComponent[]) {
    const positions = positionsOf(components);
    this.end = positions.reduce((count, position) => (position === STAR ? count : count + 1), 0);
    this.words = (this.end >>> 5) + 1;
    this.none = new Int32Array(this.words);
    this.states = this.none.slice();
    this.recursive = this.none.slice();
    this.any = this.none.slice();
    this.kept = this.none.slice();
    const toggles = new Map<number, number[]>();
    let state = 0;
    for (const position of positions) state = this.place(position, state, toggles);
    this.edges = [...toggles.keys()].sort((left, right) => left - right);
    this.classMasks = cumulated(this.any, this.edges, toggles);
    this.consuming = this.recursive.map((word) => ~word);
    this.leadingDot = this.withLiterals(this.none, DOT);
  }

  matches(name: string): boolean {
    const { states } = this;
    states.fill(0);
    setBit(states, 0);
    this.reachedWords = 1;
    this.passRecursive();
    let isComponentStart = true;
    for (let at = 0; at < name.length; ) {
      const codePoint = name.codePointAt(at) ?? 0;
      at += codePoint > 0xffff ? 2 : 1;
      const isSlash = codePoint === SLASH;
      const isHidden = isComponentStart && codePoint === DOT;
      const kept = isHidden ? this.none : isSlash ? this.recursive : this.kept;
      if (!this.step(isHidden ? this.leadingDot : this.maskOf(codePoint), kept)) return false;
      if (isSlash) this.passRecursive();
      isComponentStart = isSlash;
    }
    return hasBit(states, this.end);
  }

  /** Takes one character in; false where no state is left. */
  private step(reached: Int32Array, kept: Int32Array): boolean {
    const { states, consuming } = this;
    // No character leads further than to the next state.
    const end = Math.min(this.words, this.reachedWords + 1);
    let carry = 0;
    let alive = 0;
    for (let at = 0; at < end; at++) {
      const before = states[at] ?? 0;
      const moving = before & (consuming[at] ?? 0);
      const after = (((moving << 1) | carry) & (reached[at] ?? 0)) | (before & (kept[at] ?? 0));
      carry = moving >>> 31;
      states[at] = after;
      alive |= after;
    }
    if (states[end - 1] !== 0) this.reachedWords = end;
    return alive !== 0;
  }

  /**
   * Where a component begins, a `**` may stand for nothing more. Neighbouring ones are one, so there is never a second
   * to pass.
   */
  private passRecursive(): void {
    const { states, recursive } = this;
    const end = Math.min(this.words, this.reachedWords + 1);
    let carry = 0;
    for (let at = 0; at < end; at++) {
      const leaving = (states[at] ?? 0) & (recursive[at] ?? 0);
      states[at] = (states[at] ?? 0) | (leaving << 1) | carry;
      carry = leaving >>> 31;
    }
    if (states[end - 1] !== 0) this.reachedWords = end;
  }

  /** Notes what leads on from a state; returns the state of the next position. */
  private place(position: Position, state: number, toggles: Map<number, number[]>): number {
    if (position === STAR) {
      setBit(this.kept, state);
      return state;
    }
    const next = state + 1;
    if (position === 'recursive') {
      setBit(this.recursive, state);
      setBit(this.kept, state);
    } else if (position.kind === 'any') {
      setBit(this.any, next);
    } else if (position.kind === 'literal') {
      push(this.literals, position.codePoint, next);
    } else if (position.kind === 'class') {
      if (position.negated) setBit(this.any, next);
      for (const [first, last] of disjoint(position.ranges)) {
        push(toggles, first, next);
        push(toggles, last + 1, next);
      }
    }
    return next;
  }

  /** The states that a character can lead to. */
  private maskOf(codePoint: number): Int32Array {
    const known = this.masks.get(codePoint);
    if (known !== undefined) return known;
    const mask = this.makeMask(codePoint);
    if (this.masks.size >= KEPT_MASKS) this.masks.clear();
    this.masks.set(codePoint, mask);
    return mask;
  }

  private makeMask(codePoint: number): Int32Array {
    const base = codePoint === SLASH ? this.none : (this.classMasks[this.edgesUpTo(codePoint)] ?? this.any);
    return this.literals.has(codePoint) ? this.withLiterals(base, codePoint) : base;
  }

  private edgesUpTo(codePoint: number): number {
    let low = 0;
    let high = this.edges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.edges[middle] ?? 0) <= codePoint) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private withLiterals(base: Int32Array, codePoint: number): Int32Array {
    const mask = base.slice();
    for (const state of this.literals.get(codePoint) ?? []) setBit(mask, state);
    return mask;
  }
}

type Position = GlobToken | 'recursive';

/** The tokens of all components, slashes between them; a `**` has its own. */
function positionsOf(components: readonly GlobComponent[]): Position[] {
  const positions: Position[] = [];
  for (const [at, component] of components.entries()) {
    if (component.kind === 'recursive') {
      positions.push('recursive');
      continue;
    }
    if (component.kind === 'tokens') positions.push(...component.tokens);
    else
      for (const character of component.text)
        positions.push({ kind: 'literal', codePoint: character.codePointAt(0) ?? 0 });
    if (at < components.length - 1) positions.push({ kind: 'literal', codePoint: SLASH });
  }
  return positions;
}

/** A class's ranges, ascending and apart from each other: so each of their edges turns the class on or off. */
function disjoint(ranges: readonly number[]): (readonly [first: number, last: number])[] {
  const pairs: [number, number][] = [];
  for (let at = 0; at < ranges.length; at += 2) pairs.push([ranges[at] ?? 0, ranges[at + 1] ?? 0]);
  const apart: [number, number][] = [];
  for (const [first, last] of pairs.filter(([from, to]) => from <= to).sort(([left], [right]) => left - right)) {
    const before = apart.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else apart.push([first, last]);
  }
  return apart;
}

/** The mask before the first edge, and behind each of them. */
function cumulated(
  base: Int32Array,
  edges: readonly number[],
  toggles: ReadonlyMap<number, readonly number[]>,
): Int32Array[] {
  let mask = base;
  const masks = [mask];
  for (const edge of edges) {
    mask = mask.slice();
    for (const state of toggles.get(edge) ?? []) toggleBit(mask, state);
    masks.push(mask);
  }
  return masks;
}

function push(lists: Map<number, number[]>, key: number, value: number): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

function toggleBit(words: Int32Array, bit: number): void {
  words[bit >>> 5] = (words[bit >>> 5] ?? 0) ^ (1 << (bit & 31));
}

function setBit(words: Int32Array, bit: number): void {
  words[bit >>> 5] = (words[bit >>> 5] ?? 0) | (1 << (bit & 31));
}

function hasBit(words: Int32Array, bit: number): boolean {
  return ((words[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0;
}
