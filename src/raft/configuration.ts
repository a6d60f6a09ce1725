import { type ActorId, assert, type LogIndex, present } from '../base/index.js';
import type { Configuration } from './types.js';

export function isVoter(configuration: Configuration, actor: ActorId): boolean {
  return configuration.voters.includes(actor) || configuration.outgoing.includes(actor);
}

export function isLearner(configuration: Configuration, actor: ActorId): boolean {
  return configuration.learners.includes(actor) && !isVoter(configuration, actor);
}

/** Between two configurations: decisions need a majority of both. */
export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

export function sameActors(first: readonly ActorId[], second: readonly ActorId[]): boolean {
  return first.length === second.length && first.every((actor) => second.includes(actor));
}

/** Everyone who receives the log, each once. */
export function membersOf(configuration: Configuration): ActorId[] {
  return [...new Set([...configuration.voters, ...configuration.outgoing, ...configuration.learners])];
}

/** A configuration and the log index that put it in force. */
export interface PlacedConfiguration {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

/**
 * The configurations of the log, so that a truncated one gives way to the one
 * before it. A server uses the latest in its log, committed or not
 * (dissertation, section 4.1).
 */
export class ConfigurationHistory {
  private placed: PlacedConfiguration[];

  /** `placed` is ascending by index; its first one stands at or below the log's begin and is never truncated. */
  constructor(placed: readonly PlacedConfiguration[]) {
    assert(placed.length > 0, 'a group has a configuration from the start');
    this.placed = [...placed];
  }

  get latest(): PlacedConfiguration {
    return present(this.placed.at(-1), 'the first configuration is never truncated');
  }

  /** The configuration as of an index that is not below the first one's. */
  asOf(index: LogIndex): Configuration {
    const placed = this.placed.findLast((each) => each.index <= index) ?? this.placed[0];
    return present(placed, 'there is always one').configuration;
  }

  append(entry: PlacedConfiguration): void {
    assert(entry.index > this.latest.index, 'configurations are appended in index order');
    this.placed.push(entry);
  }

  truncateAfter(index: LogIndex): void {
    while (this.placed.length > 1 && this.latest.index > index) this.placed.pop();
  }

  /** The log begins after `index` from now on: what was replaced before that is of no more use. */
  cutThrough(index: LogIndex): void {
    const inForce = this.placed.findLastIndex((each) => each.index <= index);
    this.placed = this.placed.slice(Math.max(inForce, 0));
  }

  /** The log is replaced by a snapshot, as of which this one is in force. */
  replaceWith(placed: PlacedConfiguration): void {
    this.placed = [placed];
  }
}
