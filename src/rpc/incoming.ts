import type { Readable } from 'node:stream';

/** Called for each message in turn; while the promise that it may return is pending, no further one is taken in. */
export type OnMessage<Message> = (message: Message) => Promise<void> | undefined | void;

/** How a stream of messages ends, apart from its last message. */
export interface Ending {
  /** Registers what to do when the stream breaks off; at once if it already has. */
  onBroken(listener: (error: Error) => void): void;
  /** The failure that the stream's end stands for, if it does. */
  failure(): Error | undefined;
}

/**
 * Takes in a stream's messages. Resolves at the sender's regular end, after the
 * last message; rejects with what `onMessage` threw, or with how the stream
 * broke off. A slow `onMessage` holds the sender back by flow control.
 */
export function receiveAll<Message>(source: Readable, ending: Ending, onMessage: OnMessage<Message>): Promise<void> {
  return new Promise((resolve, reject) => {
    let settled = false;
    const settle = (error: unknown): void => {
      if (settled) return;
      settled = true;
      source.removeListener('data', onData);
      if (error === undefined) {
        resolve();
      } else {
        source.pause();
        reject(error);
      }
    };
    const onData = (message: Message): void => {
      if (settled) return;
      try {
        const pending = onMessage(message);
        if (pending === undefined) return;
        source.pause();
        pending.then(() => {
          if (!settled) source.resume();
        }, settle);
      } catch (error) {
        settle(error);
      }
    };
    ending.onBroken(settle);
    source.on('end', () => settle(ending.failure()));
    source.on('data', onData);
  });
}

/** Messages that wait between a stream and a slower `for await`. */
const ITERATOR_QUEUE_LENGTH = 16;

/**
 * The same as {@link receiveAll}, for `for await`. `onReturn` runs where the loop is left early, `onTaken` with each
 * message that it takes.
 */
export async function* iterate<Message>(
  receive: (onMessage: OnMessage<Message>) => Promise<void>,
  onReturn: () => void,
  onTaken: () => void = () => undefined,
): AsyncGenerator<Message, void, void> {
  const queue: Message[] = [];
  let wake: (() => void) | undefined;
  let goOn: (() => void) | undefined;
  let outcome: { readonly error: unknown } | undefined;
  const end = (error: unknown): void => {
    outcome = { error };
    wake?.();
  };
  receive((message) => {
    queue.push(message);
    wake?.();
    if (queue.length < ITERATOR_QUEUE_LENGTH) return undefined;
    return new Promise((resolve) => {
      goOn = resolve;
    });
  }).then(() => end(undefined), end);

  let returned = true;
  try {
    while (true) {
      while (queue.length > 0) {
        for (const message of queue.splice(0)) {
          onTaken();
          yield message;
        }
      }
      goOn?.();
      if (outcome !== undefined) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    returned = false;
    if (outcome.error !== undefined) throw outcome.error;
  } finally {
    if (returned) onReturn();
  }
}
