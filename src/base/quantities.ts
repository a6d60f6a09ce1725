/** Units and what they stand for in the smallest one; the empty name is a bare number's. */
export type Units = ReadonlyMap<string, number>;

/** Bytes. */
export const SIZE_UNITS: Units = new Map([
  ['', 1],
  ['B', 1],
  ['KiB', 1024],
  ['MiB', 1024 ** 2],
  ['GiB', 1024 ** 3],
]);

/** Milliseconds. */
export const DURATION_UNITS: Units = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/** A whole number with its unit, such as `64MiB` or `5m`, in the smallest unit; undefined where the text is none. */
export function parseQuantity(text: string, units: Units): number | undefined {
  const [, digits = '', unit = ''] = /^([0-9]{1,15}) ?([A-Za-z]*)$/.exec(text) ?? [];
  const factor = units.get(unit);
  return digits === '' || factor === undefined ? undefined : Number(digits) * factor;
}
