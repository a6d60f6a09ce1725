import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/**
 * V8's young generation is two halves, of up to 16 MiB each by default. It lets buffers pile up in proportion, outside
 * of its heap: what a node holds of batches dies within milliseconds, so that larger halves only cost memory.
 */
const HALF_BYTES = 4 * 1024 * 1024;

/**
 * Keeps V8's young generation small, as `node --max-semi-space-size=4` does. That
 * flag is read before the first line of a program; how fast the halves grow is
 * read whenever they do, which V8 decides after a collection. Does nothing where
 * the process was started with a size.
 */
export function keepYoungGenerationSmall(): void {
  if (/semi[-_]space/.test([...process.execArgv, process.env['NODE_OPTIONS']].join(' '))) return;
  let growing = true;
  const adjust = (): void => {
    const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space');
    const mayGrow = young === undefined || young.space_size < 2 * HALF_BYTES;
    if (mayGrow === growing) return;
    growing = mayGrow;
    setFlagsFromString(`--semi-space-growth-factor=${mayGrow ? 2 : 1}`);
  };
  new PerformanceObserver(adjust).observe({ entryTypes: ['gc'] });
  adjust();
}
