import type { ActorId } from '../../base/index.js';
import { BATCH_HEADER_BYTES, NO_PRODUCER, type ProducerStamp } from '../../event/index.js';
import type { Command } from '../state-machine.js';
import { encodeLogBegin, encodeOpenProducer, encodeSettings, type LogBegin, type SettingsCommand } from './commands.js';
import type { OpenProducer } from './producers.js';

/** The encoded events of one batch; PackedBody of src/wire is one. */
export interface BatchBody {
  readonly body: Uint8Array;
  /** Number of events. */
  readonly count: number;
  /** CRC-32 of body. */
  readonly checksum: number;
}

/** Appends a batch. */
export interface AppendCommand extends Command {
  readonly kind: 'events';
  readonly body: BatchBody;
  readonly stamp: ProducerStamp;
}

/** Opens a producer. */
export interface OpenCommand extends Command {
  readonly kind: 'producer';
  readonly producer: OpenProducer;
  readonly payload: Uint8Array;
}

/** Changes something else of the stream's state. */
export interface StateCommand extends Command {
  readonly kind: 'settings' | 'log-begin' | 'log-time';
  readonly payload: Uint8Array;
}

/** What can be proposed to a stream's group. */
export type StreamCommand = AppendCommand | OpenCommand | StateCommand;

export function appendCommand(actor: ActorId, body: BatchBody, stamp: ProducerStamp = NO_PRODUCER): AppendCommand {
  return {
    kind: 'events',
    actor,
    payloadBytes: BATCH_HEADER_BYTES + body.body.byteLength,
    eventCount: body.count,
    isUnconditional: stamp.producer === 0,
    body,
    stamp,
  };
}

/** A producer of a name is opened anew: a holder of an earlier epoch is refused from then on. */
export function openCommand(actor: ActorId, producer: OpenProducer): OpenCommand {
  const payload = encodeOpenProducer(producer);
  return {
    kind: 'producer',
    actor,
    payloadBytes: payload.byteLength,
    eventCount: 0,
    isUnconditional: true,
    producer,
    payload,
  };
}

export function settingsCommand(actor: ActorId, settings: SettingsCommand): StateCommand {
  return stateCommand('settings', actor, encodeSettings(settings));
}

export function logBeginCommand(actor: ActorId, begin: LogBegin): StateCommand {
  return stateCommand('log-begin', actor, encodeLogBegin(begin));
}

/** Sets log time back to `timeMs`, UTC milliseconds. */
export function logTimeCommand(actor: ActorId, timeMs: number): StateCommand {
  return { ...stateCommand('log-time', actor, new Uint8Array(0)), appendedMs: timeMs };
}

function stateCommand(kind: StateCommand['kind'], actor: ActorId, payload: Uint8Array): StateCommand {
  return { kind, actor, payloadBytes: payload.byteLength, eventCount: 0, isUnconditional: true, payload };
}
