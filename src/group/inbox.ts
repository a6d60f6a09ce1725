const NOTHING = (): void => undefined;

interface Handlers {
  /** Carries out what the input has led to. */
  readonly turn: () => void;
  /** Called once, with what went wrong: nothing is taken in any more. */
  readonly failed: (error: unknown) => void;
}

/**
 * What a group takes in, one thing at a time: each input is followed by a turn, which carries out everything that it
 * has led to, and nothing comes between. What is posted in the midst of a turn is taken in right after it.
 */
export class Inbox {
  private readonly waiting: (() => void)[] = [];
  private handlers: Handlers | undefined;
  private isBusy = false;

  /** Begins to take things in. */
  open(handlers: Handlers): void {
    this.handlers = handlers;
  }

  /** Takes nothing in from now on, nor what waits. */
  close(): void {
    this.handlers = undefined;
    this.waiting.length = 0;
  }

  /**
   * `take` lets consensus, or another part of the group, know; without it there is only something to carry out. False
   * where nothing is taken in any more: a caller that has promised something for it has to say so.
   */
  post(take: () => void = NOTHING): boolean {
    if (this.handlers === undefined) return false;
    this.waiting.push(take);
    if (this.isBusy) return true;
    this.isBusy = true;
    try {
      for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
        next();
        this.handlers?.turn();
      }
    } catch (error) {
      this.fail(error);
    }
    this.isBusy = false;
    return true;
  }

  /** The first failure ends it. */
  fail(error: unknown): void {
    const { handlers } = this;
    this.close();
    handlers?.failed(error);
  }
}
