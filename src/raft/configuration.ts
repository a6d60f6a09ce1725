import type { ActorId, LogIndex } from '../base/index.js';
import { IndexedHistory } from './indexed-history.js';
import type { Configuration } from './types.js';

export function isVoter(configuration: Configuration, actor: ActorId): boolean {
  return configuration.voters.includes(actor) || configuration.outgoing.includes(actor);
}

/** Whether no other server has a say: this one's log is the majority. */
export function isOnlyVoter(configuration: Configuration, actor: ActorId): boolean {
  return configuration.voters.length === 1 && configuration.outgoing.length === 0 && isVoter(configuration, actor);
}

export function isLearner(configuration: Configuration, actor: ActorId): boolean {
  return configuration.learners.includes(actor) && !isVoter(configuration, actor);
}

export function isMember(configuration: Configuration, actor: ActorId): boolean {
  return isVoter(configuration, actor) || configuration.learners.includes(actor);
}

/** Between two configurations: decisions need a majority of both. */
export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

export function sameActors(first: readonly ActorId[], second: readonly ActorId[]): boolean {
  return first.length === second.length && first.every((actor) => second.includes(actor));
}

/** All servers that receive the log, each once. */
export function membersOf(configuration: Configuration): ActorId[] {
  return [...new Set([...configuration.voters, ...configuration.outgoing, ...configuration.learners])];
}

/** A configuration and the log index that put it in force. */
export interface IndexedConfiguration {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

/** A server uses the latest configuration in its log, committed or not (dissertation, section 4.1). */
export class ConfigurationHistory extends IndexedHistory<IndexedConfiguration> {}
