import { counter } from '../../base/index.js';
import { BATCH_HEADER_BYTES, writeBatchHeader } from '../../event/index.js';
import type { MachineKind, RecordPlace } from '../state-machine.js';
import { StreamAdmission } from './admission.js';
import type { StreamCommand } from './stream-commands.js';
import { StreamMachine } from './stream-machine.js';

/** What runs on the group of a stream. */
export const STREAM_KIND: MachineKind<StreamCommand, StreamMachine> = {
  name: 'stream',
  initial: () => StreamMachine.initial(),
  decode: (bytes) => StreamMachine.decode(bytes),
  admission: () => new StreamAdmission(),
  write: writeCommands,
};

/** Batches one behind the other; of other commands a record holds one. */
function writeCommands(payload: Uint8Array, commands: readonly StreamCommand[], place: RecordPlace): void {
  let offset = 0;
  let baseCounter: number = place.firstCounter;
  for (const command of commands) {
    if (command.kind !== 'events') {
      payload.set(command.payload, offset);
      offset += command.payloadBytes;
      continue;
    }
    const { actor, stamp, body } = command;
    writeBatchHeader(payload, offset, {
      flags: 0,
      actor,
      count: body.count,
      baseCounter: counter(baseCounter),
      timestampMs: place.timestampMs,
      ...stamp,
      bodyLength: body.body.byteLength,
      bodyChecksum: body.checksum,
    });
    payload.set(body.body, offset + BATCH_HEADER_BYTES);
    offset += command.payloadBytes;
    baseCounter += body.count;
  }
}
