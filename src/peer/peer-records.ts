import { type ActorId, FlotillaError, type GroupId, type LogIndex } from '../base/index.js';
import type { Logger, RecordSource } from '../group/index.js';
import type { LogRecord } from '../wire/index.js';
import type { PeerLinks } from './links.js';

/** Records that this node's own copy has lost, from whichever linked member has them. */
export class PeerRecords implements RecordSource {
  private readonly links: Pick<PeerLinks, 'states' | 'fetch'>;
  private readonly logger: Logger;

  constructor(links: Pick<PeerLinks, 'states' | 'fetch'>, logger: Logger) {
    this.links = links;
    this.logger = logger;
  }

  get isAlone(): boolean {
    return this.links.states().size === 0;
  }

  async fetch(group: GroupId, from: LogIndex, to: LogIndex): Promise<readonly LogRecord[]> {
    for (const [peer, state] of this.links.states()) {
      if (state !== 'open') continue;
      const records = await this.ask(peer, group, from, to);
      if (records.length > 0) return records;
    }
    return [];
  }

  private async ask(peer: ActorId, group: GroupId, from: LogIndex, to: LogIndex): Promise<readonly LogRecord[]> {
    try {
      return await this.links.fetch(peer, group, { from, to });
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      this.logger.debug(
        { peer, group, from, reason: error.message },
        'a peer could not give records that are damaged here',
      );
      return [];
    }
  }
}
