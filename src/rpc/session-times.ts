import type { ServerHttp2Session } from 'node:http2';

/** A connection is pinged at most this often to bring its time up to date. */
const REFRESH_MS = 100;

interface Known {
  sentAfterMs: number;
  isAsking: boolean;
}

/**
 * Since when at the latest callers have sent what arrives now. What comes over a connection may have been on its way
 * for long: it waited in a network that was cut, or this process was paused. But it was sent after the connection
 * began, because a caller waits for the server's settings; and after the last ping was sent that the caller has
 * answered, because a connection keeps its order.
 */
export class SessionTimes {
  private readonly sessions = new WeakMap<ServerHttp2Session, Known>();

  begun(session: ServerHttp2Session): void {
    this.sessions.set(session, { sentAfterMs: performance.now(), isAsking: false });
  }

  sentAfterMs(session: ServerHttp2Session): number {
    return this.sessions.get(session)?.sentAfterMs ?? Number.NEGATIVE_INFINITY;
  }

  /** So that later calls on a connection that stands for long have a recent time, too. */
  refresh(session: ServerHttp2Session): void {
    const known = this.sessions.get(session);
    const nowMs = performance.now();
    if (known === undefined || known.isAsking || session.closed || session.destroyed) return;
    if (nowMs - known.sentAfterMs < REFRESH_MS) return;
    known.isAsking = session.ping((error) => {
      known.isAsking = false;
      if (error === null) known.sentAfterMs = nowMs;
    });
  }
}
