import type { FlotillaError } from '../../base/index.js';
import type { PackedBody, proto } from '../../wire/index.js';
import type { BatchReceipt } from './receipt.js';

/** One produce stream to one node. Opened by {@link OpenLink}; of no use once `onEnd` was called. */
export interface ProduceLink {
  /** HOST:PORT */
  readonly address: string;
  /** Why the stream is over, if it is. */
  readonly endedWith: FlotillaError | undefined;
  send(requestId: number, body: PackedBody, producer: proto.ProducerStamp): void;
  /** Breaks the stream off. Nothing is reported afterwards. */
  close(): void;
}

/** What comes back on a produce stream. */
export interface ProduceLinkEvents {
  onReceipt(link: ProduceLink, requestId: number, receipt: BatchReceipt): void;
  onFailure(link: ProduceLink, requestId: number, error: FlotillaError): void;
  /** The node told where the stream's leader is, and all members: HOST:PORT. */
  onLeader(link: ProduceLink, address: string, members: readonly string[]): void;
  /** The stream is over; what was sent and not answered has no answer any more. */
  onEnd(link: ProduceLink, error: FlotillaError): void;
}

/**
 * Connects to one node. Rejects with UNREACHABLE where that fails; until it
 * resolves nothing can have been sent.
 */
export type OpenLink = (address: string, events: ProduceLinkEvents) => Promise<ProduceLink>;
