import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { FlotillaError, LIMITS } from '../../../src/base/index.js';
import { FlotillaClient, type LogPart } from '../../../src/client/index.js';
import { type Handlers, RpcServer, type ServerStream } from '../../../src/rpc/index.js';
import { encodeCheckpoint, proto } from '../../../src/wire/index.js';
import { StreamLog } from '../../offline/backup-fixture.js';

type Sink = ServerStream<proto.ReadLogResponse>;
/** What a node does with a call instead of answering it. */
type Mischief = (request: proto.ReadLogRequest, sink: Sink) => Promise<void>;

/** A node that gives out a log, or what the test makes of it. Its requests, in order. */
async function nodeWith(
  t: TestContext,
  log: StreamLog,
  options: { mischief?: Mischief[]; through?: number } = {},
): Promise<{ address: string; requests: proto.ReadLogRequest[] }> {
  const { mischief = [], through = log.records.length } = options;
  const requests: proto.ReadLogRequest[] = [];
  const handlers: Handlers<typeof proto.BackupServiceDefinition> = {
    readLog: async (request, sink) => {
      requests.push(request);
      const harm = mischief.shift();
      if (harm !== undefined) return harm(request, sink);
      await sendStart(log, request, sink, through);
      for (const { index, bytes } of log.records.slice(0, through)) {
        if (index <= (request.after?.index ?? 0)) continue;
        await sink.send({ content: { $case: 'records', value: { records: [bytes] } } });
      }
    },
  };
  const server = new RpcServer({ onInternalError: (error) => assert.fail(String(error)) });
  server.add(proto.BackupServiceDefinition, handlers);
  const port = await server.listen('127.0.0.1', 0);
  server.setServing(true);
  t.after(() => server.close(0));
  return { address: `127.0.0.1:${port}`, requests };
}

async function sendStart(
  log: StreamLog,
  { after }: proto.ReadLogRequest,
  sink: Sink,
  through = log.records.length,
): Promise<void> {
  const checkpoint = after === undefined ? encodeCheckpoint(log.checkpoint) : Buffer.alloc(0);
  const { incarnation } = log.checkpoint;
  const started = { clusterId: 'c'.repeat(32), incarnation, throughIndex: through, confirmed: true };
  await sink.send({ content: { $case: 'started', value: { ...started, checkpointBytes: checkpoint.byteLength } } });
  for (let at = 0; at < checkpoint.byteLength; at += 100)
    await sink.send({ content: { $case: 'checkpoint', value: checkpoint.subarray(at, at + 100) } });
}

/** Sends the start and these records, and breaks off. */
function sends(log: StreamLog, records: readonly Uint8Array[], after: 'ended' | 'lost' = 'ended'): Mischief {
  return async (request, sink) => {
    await sendStart(log, request, sink);
    await sink.send({ content: { $case: 'records', value: { records: [...records] } } });
    if (after === 'lost') throw new FlotillaError('SHUTTING_DOWN', 'the node is stopping');
  };
}

async function copied(
  t: TestContext,
  hosts: string[],
  options: Parameters<FlotillaClient['readLog']>[0] = {},
  timeoutMs = 2000,
): Promise<LogPart[]> {
  const client = new FlotillaClient({ hosts, timeoutMs });
  t.after(() => client.close());
  const parts: LogPart[] = [];
  for await (const part of client.readLog(options)) parts.push(part);
  return parts;
}

const indexesOf = (parts: readonly LogPart[]): number[] =>
  parts.flatMap((part) => (part.kind === 'records' ? part.records.map(({ index }) => index) : []));

function filledLog(): StreamLog {
  const log = new StreamLog();
  log.addMany(9);
  return log;
}

test('readLog begins with a start, then brings the records; the checkpoint is put together', async (t) => {
  const log = filledLog();
  const { address } = await nodeWith(t, log);
  const [first, ...rest] = await copied(t, [address]);
  assert.ok(first?.kind === 'start');
  assert.deepEqual(first.start.checkpoint, encodeCheckpoint(log.checkpoint));
  assert.deepEqual([first.start.throughIndex, first.start.confirmed], [9, true]);
  assert.deepEqual(indexesOf(rest), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('readLog where nothing is new gives a start and no record', async (t) => {
  const log = filledLog();
  const { address } = await nodeWith(t, log);
  const parts = await copied(t, [address], { after: { tail: log.tail, incarnation: log.checkpoint.incarnation } });
  assert.deepEqual(
    parts.map(({ kind }) => kind),
    ['start'],
  );
});

test('readLog goes on where it was, whatever the node did', async (t) => {
  const log = filledLog();
  const bytes = log.records.map((record) => record.bytes);
  const flipped = bytes.map((record) => Buffer.from(record));
  const fourth = flipped[3] ?? assert.fail();
  fourth[50] = (fourth[50] ?? 0) ^ 1;
  const { address, requests } = await nodeWith(t, log, {
    mischief: [
      // The connection is lost, records are damaged, one is left out, one comes again, the call ends early.
      sends(log, bytes.slice(0, 2), 'lost'),
      sends(log, flipped.slice(2, 5)),
      sends(log, [...bytes.slice(2, 3), ...bytes.slice(5)]),
      sends(log, [...bytes.slice(2, 4), ...bytes.slice(2, 4)]),
      sends(log, bytes.slice(2, 4)),
    ],
  });
  assert.deepEqual(indexesOf(await copied(t, [address], {}, 20_000)), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(
    requests.map(({ after, incarnation }) => [after?.index ?? 0, incarnation !== '']),
    [
      [0, false],
      [2, true],
      [2, true],
      [2, true],
      [2, true],
      [4, true],
    ],
  );
});

test('readLog passes over a node that is behind', async (t) => {
  const log = filledLog();
  const lost = await nodeWith(t, log, {
    mischief: [
      sends(
        log,
        log.records.slice(0, 2).map(({ bytes }) => bytes),
        'lost',
      ),
    ],
  });
  const behind = await nodeWith(t, log, { through: 5 });
  const parts = await copied(t, [lost.address, behind.address], {}, 20_000);
  assert.deepEqual(indexesOf(parts), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.ok(behind.requests.length > 0, 'it was asked');
});

test('refusals of readLog are final, and a checkpoint that is too large is not taken', async (t) => {
  const log = filledLog();
  const refuse = (code: 'POSITION_MISMATCH' | 'POSITION_REMOVED' | 'NOT_FOUND'): Mischief => {
    return async () => await Promise.reject(new FlotillaError(code, 'no'));
  };
  for (const code of ['POSITION_MISMATCH', 'POSITION_REMOVED', 'NOT_FOUND'] as const) {
    const { address, requests } = await nodeWith(t, log, { mischief: [refuse(code)] });
    await assert.rejects(copied(t, [address]), { code });
    assert.equal(requests.length, 1);
  }
  const started = {
    clusterId: '',
    incarnation: '',
    throughIndex: 9,
    confirmed: true,
    checkpointBytes: LIMITS.snapshotBytes + 1,
  };
  const greedy = await nodeWith(t, log, {
    mischief: [
      async (_, sink) => {
        await sink.send({ content: { $case: 'started', value: started } });
      },
    ],
  });
  await assert.rejects(copied(t, [greedy.address]), { code: 'MESSAGE_TOO_LARGE' });
});
