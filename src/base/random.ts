/** A source of numbers in [0, 1). */
export type Random = () => number;

/**
 * A seeded generator (sfc32: Chris Doty-Humphrey, PractRand). Same seed, same
 * numbers, on every machine: elections and simulations replay exactly.
 */
export function seededRandom(seed: number): Random {
  let a = seed | 0;
  let b = (seed ^ 0x9e3779b9) | 0;
  let c = (seed ^ 0x243f6a88) | 0;
  let counter = 1;
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return (sum >>> 0) / 2 ** 32;
  };
  // The first outputs of neighbouring seeds resemble one another.
  for (let round = 0; round < 12; round++) next();
  return next;
}
