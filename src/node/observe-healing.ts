import type { Logger } from '../group/index.js';
import type { HealingObserver } from '../storage/index.js';
import type { Metrics } from '../telemetry/index.js';

/** Counts and logs what the storage finds damaged and mends. */
export function observeHealing(metrics: Metrics, logger: Logger): HealingObserver {
  return {
    damaged: (group, segment, damage) => {
      metrics.damageFound.inc();
      logger.warn(
        { group, segment, reason: damage.message },
        'a sealed segment is damaged: what is damaged is not served',
      );
    },
    repaired: (group, segment, { from, to, fetched }) => {
      metrics.segmentsRepaired.inc();
      metrics.recordsFetched.inc(fetched);
      logger.warn({ group, segment, from, to, fetched }, 'a damaged segment was rebuilt');
    },
    notRepaired: (group, segment, reason) =>
      logger.warn({ group, segment, reason }, 'a damaged segment could not be rebuilt yet'),
    scrubbed: (bytes) => metrics.scrubbedBytes.inc(bytes),
  };
}
