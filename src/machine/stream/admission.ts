import type { LogIndex } from '../../base/index.js';
import type { Admission, Decision } from '../state-machine.js';
import { ProducerAdmission } from './producer-admission.js';
import type { KnownProducers } from './producers.js';
import type { StreamCommand } from './stream-commands.js';
import type { StreamMachine } from './stream-machine.js';

/**
 * A leader's decisions about a stream's commands, against its whole log: what has taken effect, and what it has
 * appended since.
 */
export class StreamAdmission implements Admission<StreamCommand, StreamMachine> {
  private readonly producers = new ProducerAdmission();
  /** The last opening of each name that was appended in this term and has not taken effect. */
  private readonly openings = new Map<string, LogIndex>();

  decide(command: StreamCommand, { producers }: StreamMachine): Decision {
    if (command.kind !== 'events' || command.stamp.producer === 0) return { kind: 'append' };
    const { stamp, body } = command;
    const opening = this.openingOf(stamp.producer, producers);
    if (opening !== undefined) return { kind: 'wait', index: opening };
    const digest = { count: body.count, bodyLength: body.body.byteLength, bodyChecksum: body.checksum };
    return this.producers.decide(stamp, digest, producers);
  }

  appended(command: StreamCommand, index: LogIndex): void {
    if (command.kind === 'producer') this.openings.set(command.producer.name, index);
    else if (command.kind === 'events' && command.stamp.producer !== 0) this.producers.appended(command.stamp, index);
  }

  applied(index: LogIndex): void {
    for (const [name, opening] of this.openings) if (opening <= index) this.openings.delete(name);
    this.producers.advance(index);
  }

  /** The record that gives the producer's name its next epoch. */
  private openingOf(producer: number, known: KnownProducers): LogIndex | undefined {
    return this.openings.size === 0 ? undefined : this.openings.get(known.get(producer)?.name ?? '');
  }
}
