/** What a callback of the application threw: no failure of what called it, so it goes to the application as it is. */
export class CallbackFailure {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

/** Throws a CallbackFailure where the callback throws. */
export function callBack(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    throw new CallbackFailure(error);
  }
}
