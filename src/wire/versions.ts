/** Versions of what nodes say to each other and put into the log, from the lowest to the highest that a node speaks. */
export interface VersionRange {
  readonly lowest: number;
  readonly highest: number;
}

/** What this version of Flotilla speaks. */
export const SPOKEN_VERSIONS: VersionRange = { lowest: 1, highest: 1 };

export function versionsOverlap(one: VersionRange, other: VersionRange): boolean {
  return one.lowest <= other.highest && other.lowest <= one.highest;
}

/** As the hello says it: `1`, or `1-2`. */
export function formatVersions({ lowest, highest }: VersionRange): string {
  return lowest === highest ? String(lowest) : `${lowest}-${highest}`;
}

/** Undefined where the text is none. */
export function parseVersions(text: string): VersionRange | undefined {
  const found = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(text);
  if (found === null) return undefined;
  const range = { lowest: Number(found[1]), highest: Number(found[2] ?? found[1]) };
  return range.lowest >= 1 && range.lowest <= range.highest ? range : undefined;
}
