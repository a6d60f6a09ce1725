import { Worker } from 'node:worker_threads';
import { FlotillaError, LIMITS } from '../base/index.js';
import type { LargeRequest, LargeRequests } from '../rpc/index.js';
import {
  type AnyBatchRequest,
  type BatchResult,
  carriesBatch,
  type Refusal,
  refusedBatch,
  type WorkerLimits,
} from './decode-batch.js';

interface Waiting {
  readonly request: LargeRequest;
  resolve(request: AnyBatchRequest): void;
  reject(error: Error): void;
}

/**
 * Inflates, decodes, checks and packs large batches, one after another, on a thread of its own: 65,536 events take a
 * quarter of a second, and meanwhile the node would answer no call. What is made of a batch on the way is many times
 * its bytes, so there is only ever one of them, and the thread's memory has a bound.
 *
 * The thread is started for the first such batch, and ends when none has come
 * for a while.
 */
export class BatchThread implements LargeRequests {
  private readonly limits: WorkerLimits;
  private readonly queue: Waiting[] = [];
  private worker: Worker | undefined;
  private current: Waiting | undefined;
  private idle: NodeJS.Timeout | undefined;
  private closed = false;

  constructor(limits: WorkerLimits) {
    this.limits = limits;
  }

  takes(path: string): boolean {
    return carriesBatch(path);
  }

  refused(path: string, bytes: Uint8Array, error: FlotillaError): AnyBatchRequest | undefined {
    return refusedBatch(path, bytes, error);
  }

  decode(request: LargeRequest): Promise<AnyBatchRequest> {
    return new Promise((resolve, reject) => {
      this.queue.push({ request, resolve, reject });
      this.next();
    });
  }

  /** What waits, and comes later, is refused. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.idle);
    this.next();
    await this.worker?.terminate();
  }

  private next(): void {
    if (this.closed) {
      const stopping = new FlotillaError(
        'SHUTTING_DOWN',
        'the node is stopping; nothing was proposed: use another node',
      );
      for (const { reject } of this.queue.splice(0)) reject(stopping);
      return;
    }
    if (this.current !== undefined) return;
    clearTimeout(this.idle);
    this.current = this.queue.shift();
    if (this.current === undefined) {
      this.idle = setTimeout(() => void this.worker?.terminate(), LIMITS.batchThreadIdleMs).unref();
      return;
    }
    this.worker ??= this.start();
    const { request } = this.current;
    // A view into memory that is shared would take all of that memory along.
    const own = request.bytes.byteLength + LIMITS.messageSlackBytes >= request.bytes.buffer.byteLength;
    const bytes = own ? request.bytes : request.bytes.slice();
    this.worker.postMessage({ ...request, bytes }, bytes.buffer instanceof ArrayBuffer ? [bytes.buffer] : []);
  }

  private start(): Worker {
    const worker = new Worker(new URL(WORKER, import.meta.url), {
      workerData: this.limits,
      resourceLimits: { maxOldGenerationSizeMb: LIMITS.batchThreadBytes / 1024 / 1024 },
    });
    // The node ends without waiting for it.
    worker.unref();
    let failure: Error | undefined;
    worker.on('message', (result: BatchResult) => this.answer(result));
    worker.on('error', (error) => {
      failure = error;
    });
    worker.once('exit', () => {
      if (this.worker === worker) this.worker = undefined;
      this.lost(failure);
    });
    return worker;
  }

  private answer(result: BatchResult): void {
    const waiting = this.current;
    this.current = undefined;
    if (result.kind === 'request')
      waiting?.resolve({ ...result.request, taken: 'code' in result.taken ? errorOf(result.taken) : result.taken });
    else if (result.kind === 'refused') waiting?.reject(errorOf(result.refusal));
    else waiting?.reject(new Error(`a large batch could not be decoded: ${result.message}`));
    this.next();
  }

  /** The thread has ended: it was idle, the node stops, or what it made of a batch was more than it may hold. */
  private lost(failure: Error | undefined): void {
    const waiting = this.current;
    this.current = undefined;
    waiting?.reject(
      new FlotillaError(
        'MESSAGE_TOO_LARGE',
        `the batch takes more memory than a node spends on one: send fewer events at a time`,
        {
          cause: failure,
        },
      ),
    );
    this.next();
  }
}

/** The worker stands beside this file, from source and when built. */
const WORKER = import.meta.url.endsWith('.ts') ? './batch-worker.ts' : './batch-worker.js';

function errorOf({ code, message }: Refusal): FlotillaError {
  return new FlotillaError(code, message);
}
