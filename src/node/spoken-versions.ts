import { FlotillaError } from '../base/index.js';
import type { ActiveVersion, Logger } from '../group/index.js';
import { FIRST_VERSION } from '../machine/index.js';
import type { VersionRange } from '../wire/index.js';

/** What a node speaks with others: what its program knows, from its cluster's active version on. */
export class SpokenVersions implements ActiveVersion {
  private readonly known: VersionRange;
  private readonly logger: Logger;
  private active = FIRST_VERSION;

  constructor(known: VersionRange, logger: Logger) {
    this.known = known;
    this.logger = logger;
  }

  get current(): number {
    return this.active;
  }

  get range(): VersionRange {
    return { lowest: Math.max(this.known.lowest, this.active), highest: this.known.highest };
  }

  /**
   * Takes over the version that the cluster's state says is active. Throws UPGRADE_NEEDED where this program does not
   * know it: the logs may hold what it can't read.
   */
  follow(active: number): void {
    if (active > this.known.highest) {
      throw new FlotillaError(
        'UPGRADE_NEEDED',
        `version ${active} is active in this cluster, and this program speaks up to ${this.known.highest}: ` +
          'start this node with a newer version of Flotilla',
      );
    }
    if (active > this.active) this.logger.info({ version: active }, 'a version is active that all members speak');
    this.active = active;
  }
}
