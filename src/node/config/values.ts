import * as v from 'valibot';
import {
  type ActorId,
  actorId,
  DURATION_UNITS,
  LIMITS,
  messageOf,
  parseQuantity,
  SIZE_UNITS,
  type Units,
} from '../../base/index.js';
import {
  isLogLevel,
  isLogModule,
  LOG_LEVELS,
  LOG_MODULES,
  type LogLevel,
  type LogLevels,
  type LogModule,
} from '../../telemetry/index.js';
import { type Address, formatAddress, parseAddress, parseHost, parsePort } from './addresses.js';

/** A setting as it was written, which becomes a `T`. */
export type Setting<T> = v.GenericSchema<unknown, T>;

/** A setting written as one word or number; `read` throws an Error that says what is wrong. */
function word<T>(read: (text: string) => T): Setting<T> {
  return v.pipe(
    v.union([v.string(), v.number(), v.boolean()], 'takes a single value, not a list or nothing'),
    readBy((raw) => read(String(raw).trim())),
  );
}

/** A setting that may be given several times. */
function list<T>(read: (texts: readonly string[]) => T, max: number): Setting<T> {
  const refusal = `takes a list of at most ${max} words`;
  const item = v.union([v.string(), v.number()], refusal);
  return v.pipe(
    v.union(
      [
        v.pipe(v.array(item), v.maxLength(max, refusal)),
        v.pipe(
          item,
          v.transform((value) => [value]),
        ),
      ],
      refusal,
    ),
    readBy((raw) => read(raw.map((value) => String(value).trim()))),
  );
}

function readBy<Raw, T>(read: (raw: Raw) => T): v.RawTransformAction<Raw, T> {
  return v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return read(dataset.value);
    } catch (error) {
      addIssue({ message: messageOf(error) });
      return NEVER;
    }
  });
}

export const text = word((value) => {
  if (value === '') throw new Error('is empty');
  if (value.includes('\0')) throw new Error('contains a NUL character');
  return value;
});

export const flag = word((value) => {
  if (value === 'true' || value === '1') return true;
  if (value === 'false' || value === '0') return false;
  throw new Error(`${JSON.stringify(value)} is neither true nor false`);
});

export const host = word(parseHost);

/** 0 is a port here, too: any free one, or none. */
export const portOrZero = word((value) => parsePort(value, 0));

export const address: Setting<Address> = word(parseAddress);

/** Distinct addresses in their one spelling. */
export const addresses = list(
  (values) => [...new Set(values.map((value) => formatAddress(parseAddress(value))))],
  LIMITS.peerAddresses,
);

export const actor: Setting<ActorId> = word((value) => {
  const id = /^[0-9]{1,5}$/.test(value) ? Number(value) : Number.NaN;
  if (!(id >= 1 && id <= LIMITS.actorIdMax))
    throw new Error(`${JSON.stringify(value)} is no actor id; it must be a number from 1 to ${LIMITS.actorIdMax}`);
  return actorId(id);
});

/** A bare number. */
export function count(min: number, max: number): Setting<number> {
  return quantity({ units: new Map([['', 1]]), what: 'a whole number', min, max, show: String });
}

/** Bytes. */
export function size(min: number, max: number): Setting<number> {
  return quantity({
    units: SIZE_UNITS,
    what: 'a size, such as 512KiB, 64MiB, 1GiB or a number of bytes',
    min,
    max,
    show: formatSize,
  });
}

const DURATION = {
  units: DURATION_UNITS,
  what: 'a duration with its unit, such as 100ms, 1s, 5m, 2h or 7d',
  show: (ms: number) => `${ms}ms`,
};

/** Milliseconds. */
export function duration(min: number, max: number): Setting<number> {
  return quantity({ ...DURATION, min, max });
}

/** The same, or 0, which needs no unit and turns something off. */
export function durationOrZero(min: number, max: number): Setting<number> {
  return quantity({ ...DURATION, min, max, zero: true });
}

/** LEVEL for all modules, MODULE=LEVEL for one; of several for the same the last one holds. */
export const logLevels: Setting<LogLevels> = list((values) => {
  let general: LogLevel = 'info';
  const modules: Partial<Record<LogModule, LogLevel>> = {};
  for (const value of values) {
    const equals = value.indexOf('=');
    const level = value.slice(equals + 1);
    if (!isLogLevel(level))
      throw new Error(`${JSON.stringify(level)} is no log level; there are ${LOG_LEVELS.join(', ')}`);
    const module = value.slice(0, Math.max(equals, 0));
    if (equals < 0) general = level;
    else if (isLogModule(module)) modules[module] = level;
    else throw new Error(`${JSON.stringify(module)} is no module; there are ${LOG_MODULES.join(', ')}`);
  }
  return { default: general, modules };
}, LOG_MODULES.length * 4);

interface Quantity {
  readonly units: Units;
  /** What it has to look like. */
  readonly what: string;
  readonly min: number;
  readonly max: number;
  readonly show: (amount: number) => string;
  /** A bare 0 is taken, too, whatever `min` is. */
  readonly zero?: true;
}

function quantity({ units, what, min, max, show, zero }: Quantity): Setting<number> {
  return word((value) => {
    const amount = zero && value === '0' ? 0 : parseQuantity(value, units);
    if (amount === undefined) throw new Error(`${JSON.stringify(value)} is not ${what}`);
    if (zero && amount === 0) return 0;
    if (amount < min || amount > max)
      throw new Error(`${JSON.stringify(value)} is out of range; it must be from ${show(min)} to ${show(max)}`);
    return amount;
  });
}

function formatSize(bytes: number): string {
  const [unit, factor] = [...SIZE_UNITS].findLast(([, each]) => bytes >= each && bytes % each === 0) ?? ['', 1];
  return unit === '' ? String(bytes) : `${bytes / factor}${unit}`;
}
