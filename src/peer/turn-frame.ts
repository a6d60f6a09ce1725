import { nextTick } from 'node:process';
import { LIMITS } from '../base/index.js';
import { frameOf, type proto } from '../wire/index.js';

/**
 * What is sent to one stream within a turn of the event loop travels as one
 * frame: a message alone costs as much as a hundred together. Nothing waits
 * longer than the turn.
 */
export class TurnFrame {
  private readonly send: (frame: proto.DeliverRequest, bytes: number) => void;
  private requests: proto.DeliverRequest[] = [];
  private bytes = 0;

  constructor(send: TurnFrame['send']) {
    this.send = send;
  }

  add(request: proto.DeliverRequest, bytes: number): void {
    if (this.bytes + bytes > LIMITS.appendMessageBytes) this.flush();
    if (this.requests.length === 0) nextTick(() => this.flush());
    this.requests.push(request);
    this.bytes += bytes;
  }

  private flush(): void {
    if (this.requests.length === 0) return;
    const { requests, bytes } = this;
    this.requests = [];
    this.bytes = 0;
    this.send(frameOf(requests), bytes);
  }
}
