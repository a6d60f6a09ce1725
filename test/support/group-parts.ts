import { type ActorId, FlotillaError, type Member } from '../../src/base/index.js';
import type { GroupObserver } from '../../src/group/index.js';

/** What an observer was told, for the asking. */
export class Observed implements GroupObserver {
  readonly roles: string[] = [];
  campaigns = 0;
  writes = 0;
  commits = 0;
  unknown = 0;
  roleChanged(role: string): void {
    this.roles.push(role);
  }
  campaigned(): void {
    this.campaigns++;
  }
  persisted(): void {
    this.writes++;
  }
  committed(): void {
    this.commits++;
  }
  outcomeUnknown(batches: number): void {
    this.unknown += batches;
  }
}

/** What became of a promise so far, without waiting for it. */
export interface Fate<Result> {
  state: 'pending' | 'resolved' | 'rejected';
  value?: Result;
  /** The code of the FlotillaError that it was rejected with, or another error's message. */
  code?: string;
}

export function fateOf<Result>(promise: Promise<Result>): Fate<Result> {
  const fate: Fate<Result> = { state: 'pending' };
  promise.then(
    (value) => Object.assign(fate, { state: 'resolved', value }),
    (error: unknown) =>
      Object.assign(fate, { state: 'rejected', code: error instanceof FlotillaError ? error.code : String(error) }),
  );
  return fate;
}

export function memberOf(actor: ActorId): Member {
  return { actor, instance: String(actor).repeat(32).slice(0, 32), address: `node${actor}:3000` };
}

export const SILENT_LOGGER = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
