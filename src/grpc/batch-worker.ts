import { parentPort, workerData } from 'node:worker_threads';
import { FlotillaError, messageOf, present } from '../base/index.js';
import { type BatchJob, type BatchResult, decodeBatch, type WorkerLimits } from './decode-batch.js';

/**
 * The thread of large batches: see `BatchThread`, which posts one job after
 * another and waits for the answer to each. Nothing else is loaded here.
 */
const port = present(parentPort, 'this file is a thread of its own');
const limits: WorkerLimits = workerData;

port.on('message', (job: BatchJob) => {
  const result = answer(job);
  // What the thread has made alone is handed over, not copied.
  const body = result.kind === 'request' && !('code' in result.taken) ? result.taken.body : undefined;
  const own = body !== undefined && body.byteLength === body.buffer.byteLength && body.buffer instanceof ArrayBuffer;
  port.postMessage(result, own ? [body.buffer] : []);
});

function answer(job: BatchJob): BatchResult {
  try {
    return decodeBatch(job, limits);
  } catch (error) {
    if (error instanceof FlotillaError)
      return { kind: 'refused', refusal: { code: error.code, message: error.message } };
    return { kind: 'failed', message: messageOf(error) };
  }
}
