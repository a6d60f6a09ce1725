/**
 * Runs `action` once the event loop is back from whatever runs now.
 *
 * A call is cancelled, and a channel closed, only so. What runs now may have
 * been called by Node's HTTP/2 code while it takes in what a connection has
 * received: a stream's end is told while nghttp2 is still closing it, promises
 * that wait for it go on there, and often they give up the other streams of
 * that connection. A reset sends at once whatever waits, and Node puts it off
 * on that stack only if no write had been scheduled before. It then asks for
 * the data of the stream that is just being closed, of which Node knows nothing
 * any more, and gets frames of no bytes, without end: the process spins, grows
 * by hundreds of megabytes a second and hears no signal. (nodejs/node#52952;
 * a process that wakes from a pause, with a ping due and a reset waiting to be
 * read, met it nearly every time.)
 */
export function offTheStack(action: () => void): void {
  setImmediate(action);
}
