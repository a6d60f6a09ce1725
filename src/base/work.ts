/**
 * Work that may be long: each `yield` is a place where other work may go first. What is pure says by it where it can be
 * interrupted, and waits for nothing itself.
 */
export type Work<Result> = Generator<void, Result, void>;

/** Does it in one go. */
export function finish<Result>(work: Work<Result>): Result {
  let step = work.next();
  while (step.done !== true) step = work.next();
  return step.value;
}
