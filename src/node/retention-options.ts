import type { Logger } from '../group/index.js';
import { type StreamSettings, settingsAreEqual } from '../machine/stream/index.js';
import type { Stream } from '../stream/index.js';

/** The options only make the settings of a new stream: says so where somebody may expect them to do more. */
export function tellIgnoredRetention({ state }: Stream, given: StreamSettings, logger: Logger): void {
  const { settings } = state;
  if (settings === undefined || Object.keys(given).length === 0 || settingsAreEqual(settings, given)) return;
  logger.info(
    { given, inForce: settings },
    '--max-events, --max-bytes and --max-age were used when the stream was created and have no effect now: flotilla stream set changes what is in force',
  );
}
