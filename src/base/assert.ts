/**
 * A broken invariant: the program's own state contradicts itself. It is never
 * caught to carry on; the process stops and verifies its data on the next start.
 */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}

/** Ends the process (by way of the uncaught failure) unless `condition` holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}

/** Narrows away `undefined` where an invariant says that there is a value. */
export function present<T>(value: T | undefined | null, message: string): T {
  if (value === undefined || value === null) throw new AssertionFailure(message);
  return value;
}

/**
 * Where a loop that goes through something goes on: behind where it was. One that does not move would hold the event
 * loop, and with it the node, for ever; the process ends instead, and says which.
 */
export function advanced<Position extends number>(from: Position, to: Position, what: string): Position {
  if (to > from) return to;
  throw new AssertionFailure(`${what} got no further: from ${from} it would go on at ${to}, over and over`);
}

/** Marks a branch that the types rule out. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unreachable: ${String(value)}`);
}
