import { type ErrorCode, FlotillaError, LIMITS, type LogIndex } from '../../base/index.js';
import type { ProducerStamp } from '../../event/index.js';
import type { Admission, Decision } from '../state-machine.js';
import { knownBatch, type ProducerState } from './producers.js';
import type { AppendCommand, BatchBody, StreamCommand } from './stream-commands.js';
import type { StreamMachine } from './stream-machine.js';

interface Uncommitted {
  readonly sequence: number;
  readonly index: LogIndex;
}

/**
 * A leader's decisions about a stream's commands, against its whole log: what has taken effect, and what it has
 * appended since. A stamped batch goes in once it is the next of its producer. Everything else that a producer is
 * told, be it the ids of a first attempt or a refusal, rests on committed records only.
 */
export class StreamAdmission implements Admission<StreamCommand, StreamMachine> {
  /** Per producer the batches that were appended in this term and have not taken effect. */
  private readonly uncommitted = new Map<number, Uncommitted[]>();
  /** Per name the last opening that was appended in this term and has not taken effect. */
  private readonly openings = new Map<string, LogIndex>();

  decide(command: StreamCommand, machine: StreamMachine): Decision {
    if (command.kind !== 'events' || command.stamp.producer === 0) return { kind: 'append' };
    const { stamp, body } = command;
    const producer = machine.producer(stamp.producer);
    if (producer === undefined) return unlessOvertaken('PRODUCER_EXPIRED', forgotten(stamp));
    const opening = this.openings.get(producer.name);
    if (opening !== undefined) return { kind: 'wait', index: opening };
    return refusalForEpoch(stamp, producer) ?? this.decideSequence(stamp, body, producer);
  }

  appended(command: StreamCommand, index: LogIndex): void {
    if (command.kind === 'events') this.batchAppended(command, index);
    else if (command.kind === 'producer' && command.producer.name !== '')
      this.openings.set(command.producer.name, index);
  }

  applied(index: LogIndex): void {
    for (const [name, opening] of this.openings) if (opening <= index) this.openings.delete(name);
    for (const [producer, open] of this.uncommitted) {
      const left = open.filter((batch) => batch.index > index);
      if (left.length === 0) this.uncommitted.delete(producer);
      else if (left.length < open.length) this.uncommitted.set(producer, left);
    }
  }

  private batchAppended({ stamp: { producer, sequence } }: AppendCommand, index: LogIndex): void {
    if (producer === 0) return;
    const open = this.uncommitted.get(producer);
    if (open === undefined) this.uncommitted.set(producer, [{ sequence, index }]);
    else open.push({ sequence, index });
  }

  private decideSequence({ producer, sequence }: ProducerStamp, body: BatchBody, known: ProducerState): Decision {
    const open = this.uncommitted.get(producer) ?? [];
    const last = open.at(-1)?.sequence ?? known.sequence;
    if (sequence === last + 1) return { kind: 'append' };
    if (sequence > last)
      return unlessOvertaken(
        'SEQUENCE_GAP',
        `producer.sequence: ${sequence} does not follow ${last}, the last batch of producer ${producer}`,
      );
    const inLog = open.find((batch) => batch.sequence === sequence);
    if (inLog !== undefined) return { kind: 'wait', index: inLog.index };
    const batch = knownBatch(known, sequence);
    if (batch === undefined)
      return refuse(
        'PRODUCER_EXPIRED',
        `producer.sequence: the stream remembers the last ${LIMITS.producerBatches} batches of producer ${producer}, ` +
          `up to ${known.sequence}; ${sequence} was before them`,
      );
    const isSame =
      batch.count === body.count && batch.bodyLength === body.body.byteLength && batch.bodyChecksum === body.checksum;
    if (isSame) return { kind: 'known', place: batch };
    return refuse(
      'SEQUENCE_REUSED',
      `producer.sequence: producer ${producer} has other events in the stream as its batch ${sequence}`,
    );
  }
}

function refusalForEpoch({ producer, epoch }: ProducerStamp, known: ProducerState): Decision | undefined {
  if (epoch === known.epoch) return undefined;
  if (epoch > known.epoch)
    return unlessOvertaken(
      'INVALID_ARGUMENT',
      `producer.epoch: producer ${producer} was opened with epoch ${known.epoch}, not ${epoch}`,
    );
  return refuse(
    'PRODUCER_FENCED',
    `producer "${known.name}" was opened anew, with epoch ${known.epoch}: the holder of epoch ${epoch} may produce no more`,
  );
}

function refuse(code: ErrorCode, message: string): Decision {
  return { kind: 'refuse', error: new FlotillaError(code, message), isCertain: true };
}

function unlessOvertaken(code: ErrorCode, message: string): Decision {
  return { kind: 'refuse', error: new FlotillaError(code, message), isCertain: false };
}

function forgotten({ producer }: ProducerStamp): string {
  return (
    `producer.producer_id: ${producer} is not known: it was never opened, or forgotten since; open a new one. ` +
    'What became of its earlier batches is not known any more'
  );
}
