import { type ActorId, actorId, type Counter, counter, FlotillaError, LIMITS } from '../base/index.js';
import { excerpt } from './excerpt.js';

/** Where an event stands in its stream, and which node took it in. */
export interface EventId {
  readonly counter: Counter;
  readonly actor: ActorId;
}

const COUNTER_DIGITS = 20;
const ACTOR_DIGITS = 5;
const LONG_FORM = /^\d{25}$/;
const SHORT_FORM = /^(\d{1,20})\.(\d{1,5})$/;

/** 25 digits that sort as a string: counter 1 of actor 1 is `0000000000000000000100001`. */
export function formatEventId(id: EventId): string {
  return String(id.counter).padStart(COUNTER_DIGITS, '0') + String(id.actor).padStart(ACTOR_DIGITS, '0');
}

/**
 * Reads the 25 digits or the short form `counter.actor`. `field` is what the
 * caller calls this value; INVALID_ARGUMENT names it.
 */
export function parseEventId(text: string, field: string): EventId {
  const short = SHORT_FORM.exec(text);
  if (short === null && !LONG_FORM.test(text)) {
    throw refused(text, field, 'write its 25 digits or counter.actor, such as 12345.7');
  }
  const counterValue = Number(short?.[1] ?? text.slice(0, COUNTER_DIGITS));
  const actorValue = Number(short?.[2] ?? text.slice(COUNTER_DIGITS));
  // Above 2^53 Number() rounds, but never to a value within the limit.
  if (counterValue < 1 || counterValue > LIMITS.counterMax)
    throw refused(text, field, 'its counter must be 1 to 2^53 - 1');
  if (actorValue < 1 || actorValue > LIMITS.actorIdMax)
    throw refused(text, field, `its actor must be 1 to ${LIMITS.actorIdMax}`);
  return { counter: counter(counterValue), actor: actorId(actorValue) };
}

/** Negative where `left` comes first: by counter, then by actor, as the text forms sort. */
export function compareEventIds(left: EventId, right: EventId): number {
  return left.counter - right.counter || left.actor - right.actor;
}

function refused(text: string, field: string, why: string): FlotillaError {
  return new FlotillaError('INVALID_ARGUMENT', `${field}: ${excerpt(text)} is not an event id: ${why}`);
}
