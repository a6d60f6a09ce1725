import { FlotillaError } from '../base/index.js';
import type { Logger } from '../group/index.js';
import { activeVersionOf, FIRST_VERSION, type Membership, type VersionRange } from '../wire/index.js';

/** What a node speaks with others: what its program knows, from its cluster's active version on. */
export class SpokenVersions {
  private readonly known: VersionRange;
  private readonly logger: Logger;
  private active = FIRST_VERSION;

  constructor(known: VersionRange, logger: Logger) {
    this.known = known;
    this.logger = logger;
  }

  get range(): VersionRange {
    return { lowest: Math.max(this.known.lowest, this.active), highest: this.known.highest };
  }

  /**
   * Takes over the version that a membership in the log says is active. Throws
   * UPGRADE_NEEDED where this program does not know it: the log may hold what it
   * can't read.
   */
  follow(membership: Membership): void {
    const active = activeVersionOf(membership);
    if (active > this.known.highest) {
      throw new FlotillaError(
        'UPGRADE_NEEDED',
        `version ${active} is active in this cluster, and this program speaks up to ${this.known.highest}: start this node with a newer version of Flotilla`,
      );
    }
    if (active > this.active) this.logger.info({ version: active }, 'a version is active that all members speak');
    this.active = active;
  }
}
