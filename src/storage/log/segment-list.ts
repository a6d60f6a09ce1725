import { assert, FlotillaError, type LogIndex, present } from '../../base/index.js';
import type { LogTail } from '../../wire/index.js';
import type { Segment } from '../segment/index.js';

/** The segments of one log, oldest first: there is always one, and they continue one another. */
export class SegmentList {
  private segments: Segment[];

  constructor(segments: readonly Segment[]) {
    assert(segments.length > 0, 'a log has at least one segment');
    this.segments = [...segments];
  }

  get all(): readonly Segment[] {
    return this.segments;
  }

  get oldest(): Segment {
    return present(this.segments[0], 'a log has at least one segment');
  }

  get youngest(): Segment {
    return present(this.segments.at(-1), 'a log has at least one segment');
  }

  /** The segment in which a record stands, or will. */
  holding(index: LogIndex): Segment {
    return present(
      this.lastWhere(({ before }) => before.index < index),
      `record ${index} lies before the log's begin`,
    );
  }

  beginningAfter(index: LogIndex): Segment {
    const segment = this.lastWhere(({ before }) => before.index <= index);
    assert(segment?.before.index === index, `no segment begins after record ${index}`);
    return segment;
  }

  /** The last segment for which `holds`, which is true for the first ones and false from some on. */
  lastWhere(holds: (segment: Segment) => boolean): Segment | undefined {
    let low = 0;
    let high = this.segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const segment = this.segments[middle];
      if (segment !== undefined && holds(segment)) low = middle + 1;
      else high = middle;
    }
    return this.segments[low - 1];
  }

  /** Undefined behind the youngest, and for one that is not in this list any more. */
  following(segment: Segment): Segment | undefined {
    const position = this.segments.indexOf(segment);
    return position === -1 ? undefined : this.segments[position + 1];
  }

  includes(segment: Segment): boolean {
    return this.segments.includes(segment);
  }

  push(segment: Segment): void {
    this.segments.push(segment);
  }

  /** Takes the youngest out, which is not the only one. */
  pop(): Segment {
    assert(this.segments.length > 1, 'a log has at least one segment');
    return present(this.segments.pop(), 'there are two');
  }

  /** Takes those before the one that begins after record `through` out, and returns them, oldest first. */
  cut(through: LogIndex): Segment[] {
    return this.segments.splice(0, this.segments.indexOf(this.beginningAfter(through)));
  }

  replace(segment: Segment, by: Segment): void {
    this.segments = this.segments.map((each) => (each === segment ? by : each));
  }

  replaceAll(segment: Segment): void {
    this.segments = [segment];
  }
}

/** What is asked for stands before the log's begin. */
export function givenUp(index: LogIndex, before: LogTail): FlotillaError {
  return new FlotillaError(
    'POSITION_REMOVED',
    `record ${index} was given up; the log begins with record ${before.index + 1}`,
  );
}
