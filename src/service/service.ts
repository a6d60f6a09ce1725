import type { FlotillaError } from '../base/index.js';
import type { EventLimits } from '../event/index.js';
import type { Storage } from '../group/index.js';
import type { Metrics } from '../telemetry/index.js';
import { BackupUseCases } from './backup.js';
import { type AskNode, ClusterUseCases, type ClusterView } from './cluster.js';
import { EventUseCases } from './events.js';
import { Intake } from './intake.js';
import { type NewAllowance, Reading } from './reading.js';
import { StreamUseCases } from './stream-use-cases.js';
import type { Streams } from './streams.js';

export interface ServiceOptions {
  readonly streams: Streams;
  readonly limits: EventLimits;
  readonly metrics: Metrics;
  readonly storage: Pick<Storage, 'group'>;
  /** As of the moment at which it is asked for. */
  readonly view: () => ClusterView;
  readonly askNode: AskNode;
  readonly newAllowance: NewAllowance;
}

/**
 * Everything that a node does for its callers, without a transport: doors such as
 * src/grpc map their messages to it, and an embedding program calls it as it is.
 * Each use case takes the caller first and asks `authorize` before it does
 * anything. What is refused is a FlotillaError.
 */
export class Service {
  readonly events: EventUseCases;
  readonly streams: StreamUseCases;
  readonly cluster: ClusterUseCases;
  readonly backups: BackupUseCases;
  private readonly intake = new Intake();

  constructor(options: ServiceOptions) {
    const { streams, limits, metrics, storage, view, askNode } = options;
    const reading = new Reading(options.newAllowance);
    this.events = new EventUseCases({ streams, limits, metrics, reading, intake: this.intake });
    this.streams = new StreamUseCases({ streams, reading });
    this.cluster = new ClusterUseCases({ view, askNode });
    this.backups = new BackupUseCases({ streams, storage, reading, clusterId: () => view().clusterId });
  }

  /** Takes no events in from now on. Resolves when everything that was taken in is answered. */
  drain(error: FlotillaError): Promise<void> {
    return this.intake.drain(error);
  }

  /** Resolves when every producer's call that is under way now has ended. */
  settled(): Promise<void> {
    return this.intake.settled();
  }
}
