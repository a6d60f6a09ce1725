/**
 * A process that does what a node does that wakes from a pause, in one turn of
 * its event loop: it has something to write on a connection; then it reads there
 * that one of its two calls was reset, and gives up the other. Says `connected`,
 * and `ended` once both calls are over.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { RpcClient } from '../../src/rpc/index.js';
import { proto } from '../../src/wire/index.js';
import { produceRequest } from './rpc-fixture.js';

const wasReset = new Int32Array(new SharedArrayBuffer(4));
const server = new Worker(new URL('resetting-server.mjs', import.meta.url), { workerData: wasReset });
const [port] = await once(server, 'message');
const client = new RpcClient(proto.EventServiceDefinition, `127.0.0.1:${Number(port)}`);
const first = client.duplex('produce');
const second = client.duplex('produce');
const letIn = [first, second].map((call) => new Promise<void>((resolve) => call.onHeaders(() => resolve())));
for (const call of [first, second]) call.receive(() => undefined).catch(() => undefined);
await Promise.all(letIn);
void first.ended.then(() => {
  second.cancel();
  client.close();
});
process.stdout.write('connected\n');
// Timers come before what is read: what is sent here is still to be written when the reset is read.
setTimeout(() => {
  server.postMessage('reset the first');
  Atomics.wait(wasReset, 0, 0);
  void second.send(produceRequest(1));
}, 0);
await Promise.all([first.ended, second.ended]);
process.stdout.write('ended\n', () => process.exit());
