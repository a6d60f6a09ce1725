/**
 * Usage: young-generation-fixture.ts bounded|unbounded: prints how large V8's young generation became, in bytes, in a
 * process with much to copy.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { getHeapSpaceStatistics } from 'node:v8';
import { keepYoungGenerationSmall } from '../../cli/young-generation.js';

if (process.argv[2] === 'bounded') keepYoungGenerationSmall();
let largest = 0;
let kept: object[] = [];
for (let round = 0; round < 400; round++) {
  for (let at = 0; at < 10_000; at++) kept.push({ round, at, text: `${at}` });
  if (round % 5 === 0) kept = [];
  largest = Math.max(
    largest,
    getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')?.space_size ?? 0,
  );
  await turn();
}
process.stdout.write(`${largest}`);
