import { decodeLogBegin, type StreamSettings, settingsAreEqual } from '../../machine/stream/index.js';
import type { Configuration } from '../../raft/index.js';
import type { LogRecord } from '../../wire/index.js';
import type { ObservedNode } from '../observed-node.js';
import { Violation } from '../violation.js';
import type { Invariant } from './invariant.js';

/**
 * A leader may have looked at settings so long before it says what they lead to: reading from its disk takes its time.
 */
const LOOK_MS = 15_000;

interface Birth {
  readonly atMs: number;
  /** Every majority had a right clock in it. */
  readonly isTrusted: boolean;
}

/** When records were appended, by true time. */
export class Births {
  private readonly births = new Map<number, Birth>();
  /** No record up to this one is judged: wrong clocks had the majority when it was appended. */
  private distrustedIndex = 0;

  add({ checksum, index }: LogRecord, birth: Birth): void {
    this.births.set(checksum, birth);
    if (!birth.isTrusted) this.distrustedIndex = Math.max(this.distrustedIndex, index);
  }

  /** Undefined where it is not known. */
  ageMs({ checksum }: LogRecord, nowMs: number): number | undefined {
    const birth = this.births.get(checksum);
    return birth && nowMs - birth.atMs;
  }

  /** Undefined where nothing can be said. */
  appendedMs({ checksum, index }: LogRecord): number | undefined {
    return index > this.distrustedIndex ? this.births.get(checksum)?.atMs : undefined;
  }
}

/** True time, and which clocks are right. */
export interface TrueTime {
  readonly births: Births;
  /** What the age of an event may be misjudged by. */
  readonly errorMs: number;
  nowMs(): number;
  /** Whether every majority of a configuration has a right clock in it. */
  areJudges(configuration: Configuration): boolean;
  /** Events were given up by nothing but their age. */
  agedOut(): void;
}

/**
 * No event is given up for its age before it has that age by true time, as long
 * as every majority of the voters has a right clock in it: when it was appended,
 * and when it is given up.
 */
export function youngEventsStay(time: TrueTime): Invariant {
  const { births } = time;
  const property = 'no event is given up before it is too old';
  let inForce: { readonly settings: StreamSettings; untilMs: number }[] = [];

  const follow = ({ settings }: { readonly settings: StreamSettings | undefined }): void => {
    const nowMs = time.nowMs();
    inForce = inForce.filter(({ untilMs }) => untilMs > nowMs - LOOK_MS);
    if (settings === undefined) return;
    const known = inForce.find((each) => settingsAreEqual(each.settings, settings));
    if (known === undefined) inForce.push({ settings, untilMs: nowMs });
    else known.untilMs = nowMs;
  };

  const judge = (node: ObservedNode, record: LogRecord): void => {
    const { firstCounter } = decodeLogBegin(record.payload);
    const youngest = node.records.findLast((each) => each.kind === 'events' && each.firstCounter < firstCounter);
    const appendedMs = youngest === undefined ? undefined : births.appendedMs(youngest);
    if (youngest === undefined || appendedMs === undefined) return;
    const ageMs = time.nowMs() - appendedMs;
    const isOld = inForce.some(
      ({ settings: { maxAgeMs = Number.POSITIVE_INFINITY } }) => ageMs >= maxAgeMs - time.errorMs,
    );
    // Bytes are not counted here: where they have a bound, it may be the reason.
    const isTooMuch = inForce.some(
      ({ settings: { maxEvents, maxBytes } }) =>
        maxBytes !== undefined || (maxEvents !== undefined && firstCounter <= record.firstCounter - maxEvents),
    );
    if (!isOld && !isTooMuch)
      throw new Violation(
        property,
        `${node.actor} gives up all before ${firstCounter} though record ${youngest.index} is ${ageMs} ms ` +
          `old: ${JSON.stringify(inForce)}`,
      );
    if (!isTooMuch) time.agedOut();
  };

  return {
    property,
    stepped(node) {
      const { stream } = node;
      if (stream === undefined || stream.group.role !== 'leader') return;
      follow(stream.state);
      const isTrusted = time.areJudges(stream.group.membership);
      for (let index = node.changedFrom; index <= node.records.length; index++) {
        const record = node.records[index - 1];
        if (record === undefined || record.term !== stream.group.term) continue;
        births.add(record, { atMs: time.nowMs(), isTrusted });
        if (record.kind === 'log-begin' && isTrusted) judge(node, record);
      }
    },
  };
}
