/**
 * A thread with an HTTP/2 server that lets every call in, and resets the first
 * one when it is told to. Sets the first word of its data once that has left
 * for the caller, who may be waiting for it without turning its event loop.
 */
import { createServer } from 'node:http2';
import { parentPort, workerData } from 'node:worker_threads';

const streams = [];
const server = createServer();
server.on('stream', (stream) => {
  stream.on('error', () => undefined);
  stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto' });
  streams.push(stream);
});
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));

parentPort.on('message', () => {
  const [first] = streams;
  const { socket } = first.session;
  const before = socket.bytesWritten;
  first.close();
  const look = () => {
    if (socket.bytesWritten === before) return setImmediate(look);
    Atomics.store(workerData, 0, 1);
    Atomics.notify(workerData, 0);
  };
  look();
});
