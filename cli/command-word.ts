/** What the command word's search needs to know of an option. */
export interface KnownOption {
  readonly short?: string | undefined;
  readonly long?: string | undefined;
  /** The next word, or the rest of this one, is its value. */
  readonly takesValue: boolean;
}

/** The first word that is neither an option nor an option's value, and what stands around it. */
export interface CommandWord {
  readonly before: readonly string[];
  readonly word: string | undefined;
  readonly after: readonly string[];
  /** An option that is not known, so that the word behind it may be its value: the search ends there. */
  readonly unknown: string | undefined;
}

/**
 * Finds the command in a command line whose options may stand before it or
 * behind it: in `-H localhost -p 3000 produce -n /a` it is `produce`.
 */
export function findCommandWord(args: readonly string[], options: readonly KnownOption[]): CommandWord {
  let at = 0;
  for (; at < args.length; at++) {
    const arg = args[at] ?? '';
    if (arg === '--') return split(args, at + 1, [...args.slice(0, at)]);
    if (!arg.startsWith('-') || arg === '-') return split(args, at, args.slice(0, at));
    const consumed = arg.startsWith('--') ? longOption(arg, options) : shortOptions(arg, options);
    if (consumed === undefined) return { before: args, word: undefined, after: [], unknown: arg };
    at += consumed;
  }
  return { before: args, word: undefined, after: [], unknown: undefined };
}

function split(args: readonly string[], at: number, before: readonly string[]): CommandWord {
  return { before, word: args[at], after: args.slice(at + 1), unknown: undefined };
}

/** How many of the words that follow belong to the option; undefined where it isn't known. */
function longOption(arg: string, options: readonly KnownOption[]): number | undefined {
  const equals = arg.indexOf('=');
  const name = equals < 0 ? arg : arg.slice(0, equals);
  const option = options.find(({ long }) => long === name);
  if (option === undefined) return undefined;
  return option.takesValue && equals < 0 ? 1 : 0;
}

/** `-v`, `-p 3000`, `-p3000`, `-vp3000`. */
function shortOptions(arg: string, options: readonly KnownOption[]): number | undefined {
  for (let at = 1; at < arg.length; at++) {
    const option = options.find(({ short }) => short === `-${arg[at] ?? ''}`);
    if (option === undefined) return undefined;
    if (option.takesValue) return at === arg.length - 1 ? 1 : 0;
  }
  return 0;
}

/** The name that is meant by `word`, if one is near enough: at most two letters wrong, missing, added or exchanged. */
export function similarName(word: string, names: readonly string[]): string | undefined {
  const near = names
    .map((name) => ({ name, distance: editDistance(word.slice(0, 20).toLowerCase(), name) }))
    .sort((a, b) => a.distance - b.distance)[0];
  return near !== undefined && near.distance <= 2 && near.distance < near.name.length ? near.name : undefined;
}

/** Levenshtein's distance, with an exchange of neighbours counted as one. */
function editDistance(left: string, right: string): number {
  const rows: number[][] = [Array.from({ length: right.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let distance = Math.min(
        (rows[row - 1]?.[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (rows[row - 1]?.[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1]) {
        distance = Math.min(distance, (rows[row - 2]?.[column - 2] ?? distance) + 1);
      }
      current.push(distance);
    }
    rows.push(current);
  }
  return rows[left.length]?.[right.length] ?? 0;
}
