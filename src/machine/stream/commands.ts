import {
  asciiBytes,
  asciiText,
  type Counter,
  counter,
  FlotillaError,
  type LogIndex,
  logIndex,
} from '../../base/index.js';
import type { OpenProducer } from './producers.js';

/*
 * Commands are records that change a stream's state. Their payload is JSON: a
 * few of them are written in a day, and a dump of the log can be read. A reader
 * that meets what it does not know stops: to leave out a setting would make its
 * state another than that of the nodes which know it.
 */

/** How much of a stream is kept; what is absent has no bound. */
export interface StreamSettings {
  readonly maxEvents?: number;
  /** Bytes of the log's records that hold events, as stored. */
  readonly maxBytes?: number;
  /** Age by log time, see src/wire/record.ts. */
  readonly maxAgeMs?: number;
}

/** What of the settings changes: what is absent stays as it is, and {@link NO_BOUND} takes the bound away. */
export type SettingsChanges = StreamSettings;

export const NO_BOUND = 0;

/**
 * The content of a `settings` record: a change of one setting leaves those alone that another client changes at the
 * same time.
 */
export interface SettingsCommand {
  readonly changes: SettingsChanges;
  /**
   * It has no effect where settings were made before: those that a new stream begins with are proposed by each of its
   * first leaders.
   */
  readonly onlyFirst: boolean;
}

/** Where a stream begins for its readers. */
export interface LogBegin {
  /** Events below it are not delivered. */
  readonly firstCounter: Counter;
  /** Up to this record the log holds nothing that is delivered: whole segments of it may go. */
  readonly index: LogIndex;
}

const FORMAT = 1;
const SETTING_NAMES = ['maxEvents', 'maxBytes', 'maxAgeMs'] as const;

/** Throws INVALID_ARGUMENT where a change is none; `field` names it. */
export function checkSettingsChanges(
  changes: SettingsChanges,
  field: (name: keyof StreamSettings) => string = (name) => name,
): void {
  for (const name of SETTING_NAMES) {
    const value = changes[name];
    if (value === undefined || (Number.isSafeInteger(value) && value >= NO_BOUND)) continue;
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `${field(name)}: ${value} is no whole number from 1 to ${Number.MAX_SAFE_INTEGER}, or 0 for no bound`,
    );
  }
}

/** The same settings with nothing else, in one order: what is encoded, compared and shown. */
export function plainSettings(settings: StreamSettings): StreamSettings {
  const given = SETTING_NAMES.filter((name) => settings[name] !== undefined).map((name) => [name, settings[name]]);
  return Object.fromEntries(given);
}

export function settingsAreEqual(one: StreamSettings, other: StreamSettings): boolean {
  return SETTING_NAMES.every((name) => one[name] === other[name]);
}

/** What comes of changes, undefined where there were no settings before. */
export function changedSettings(
  before: StreamSettings | undefined,
  { changes, onlyFirst }: SettingsCommand,
): StreamSettings {
  if (before !== undefined && onlyFirst) return before;
  const merged = { ...before, ...plainSettings(changes) };
  return Object.fromEntries(
    SETTING_NAMES.map((name) => [name, merged[name]]).filter(([, value]) => value !== undefined && value !== NO_BOUND),
  );
}

/** The payload of a `settings` record. */
export function encodeSettings({ changes, onlyFirst }: SettingsCommand): Uint8Array {
  return encode({ ...plainSettings(changes), ...(onlyFirst ? { onlyFirst: 1 } : {}) });
}

export function decodeSettings(payload: Uint8Array): SettingsCommand {
  const { onlyFirst, ...changes } = decode('settings', payload, [...SETTING_NAMES, 'onlyFirst']);
  return { changes: plainSettings(changes), onlyFirst: onlyFirst !== undefined };
}

/** The payload of a `log-begin` record. */
export function encodeLogBegin({ firstCounter, index }: LogBegin): Uint8Array {
  return encode({ firstCounter, index });
}

export function decodeLogBegin(payload: Uint8Array): LogBegin {
  const { firstCounter, index } = decode('log-begin', payload, ['firstCounter', 'index']);
  if (firstCounter === undefined || index === undefined) throw unknown('log-begin', 'without a counter or an index');
  return { firstCounter: counter(firstCounter), index: logIndex(index) };
}

/** The payload of a `producer` record. */
export function encodeOpenProducer({ id, name }: OpenProducer): Uint8Array {
  return encode({ id, name });
}

export function decodeOpenProducer(payload: Uint8Array): OpenProducer {
  const { id, name, ...others } = fieldsOf('producer', payload);
  const [other] = Object.keys(others);
  if (other !== undefined) throw unknown('producer', `with ${JSON.stringify(other)}`);
  if (typeof id !== 'number' || typeof name !== 'string') throw unknown('producer', 'without an id or a name');
  return { id, name };
}

function encode(fields: Readonly<Record<string, number | string>>): Uint8Array {
  return asciiBytes(JSON.stringify({ format: FORMAT, ...fields }));
}

function decode<Name extends string>(
  kind: string,
  payload: Uint8Array,
  names: readonly Name[],
): Partial<Record<Name, number>> {
  const known: Partial<Record<Name, number>> = {};
  for (const [key, value] of Object.entries(fieldsOf(kind, payload))) {
    const name = names.find((each) => each === key);
    if (name === undefined || typeof value !== 'number') throw unknown(kind, `with ${JSON.stringify(key)}`);
    known[name] = value;
  }
  return known;
}

function fieldsOf(kind: string, payload: Uint8Array): Record<string, unknown> {
  const content: unknown = JSON.parse(asciiText(payload));
  if (typeof content !== 'object' || content === null || !('format' in content))
    throw unknown(kind, 'without a format');
  const { format, ...fields } = content;
  if (format !== FORMAT) throw unknown(kind, `of format ${String(format)}`);
  return fields;
}

function unknown(kind: string, what: string): FlotillaError {
  return new FlotillaError(
    'UPGRADE_NEEDED',
    `a ${kind} record ${what}, which is not known here, was written by a newer version of Flotilla; upgrade this node`,
  );
}
