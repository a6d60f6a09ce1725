/**
 * What a program in any language finds: reflection, the standard health service, plain protobuf. buf stands for all of
 * them.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import * as v from 'valibot';
import { withReadyCluster } from '../support/cluster.js';
import type { ClusterNode } from '../support/cluster-node.js';
import { CommandProcess, type CommandResult, ROOT } from '../support/command-process.js';

const BUF = join(ROOT, 'node_modules', '.bin', 'buf');

test(
  'buf curl appends and reads through reflection, at any node',
  withReadyCluster({}, async (cluster, context) => {
    const [first, second, third] = [cluster.node(1), cluster.node(2), cluster.node(3)];

    await context.test('Append answers with a receipt', async () => {
      const events = [
        {
          namespace: '/curl',
          data: base64('ahoy'),
          type: 'greeting',
          metadata: { __proto__x: '%00', constructor: '..' },
        },
        { namespace: '/curl' },
      ];
      const { receipt } = v.parse(appended, await ok(curl(second, 'EventService/Append', { events })));
      assert.equal(receipt.firstId, '0000000000000000000100002');
      assert.equal(receipt.lastId, '0000000000000000000200002');
      assert.equal(receipt.count, 2);
      assert.match(receipt.incarnation, /^[0-9a-f]{32}$/);
    });

    await context.test('Produce answers each request, and tells where the leader is', async () => {
      const requests = [1, 2].map((requestId) =>
        JSON.stringify({ requestId, events: [{ namespace: '/stream', data: base64(`${requestId}`) }] }),
      );
      const responses = messages(await curl(third, 'EventService/Produce', requests.join('\n')));
      const receipts = responses.filter((response) => 'receipt' in response);
      assert.deepEqual(
        receipts.map(({ requestId }) => requestId),
        ['1', '2'],
      );
      const leader = await cluster.leader();
      assert.ok(
        responses.some((response) => JSON.stringify(response).includes(`"address":"${leader.address}"`)),
        JSON.stringify(responses),
      );
    });

    await context.test('Read answers with the events', async () => {
      const responses = messages(await curl(first, 'EventService/Read', { glob: '/curl' }));
      assert.deepEqual(Object.keys(responses[0] ?? {}), ['started']);
      const { events } = v.parse(
        v.object({ events: v.object({ events: v.array(v.looseObject({ id: v.string() })) }) }),
        responses[1],
      ).events;
      const [event, empty] = events;
      assert.deepEqual(event?.['metadata'], { __proto__x: '%00', constructor: '..' });
      assert.deepEqual(
        [event?.id, event?.['namespace'], event?.['data'], event?.['type']],
        ['0000000000000000000100002', '/curl', base64('ahoy'), 'greeting'],
      );
      assert.deepEqual([empty?.id, empty?.['data']], ['0000000000000000000200002', undefined]);
    });

    await context.test('GetStatus names the members', async () => {
      const status = v.parse(
        v.object({ nodes: v.array(v.looseObject({ role: v.string() })) }),
        await ok(curl(first, 'ClusterService/GetStatus', {})),
      );
      assert.deepEqual(status.nodes.map(({ role }) => role).sort(), [
        'NODE_ROLE_FOLLOWER',
        'NODE_ROLE_FOLLOWER',
        'NODE_ROLE_LEADER',
      ]);
    });

    await context.test('a refusal has its status and our code', async () => {
      const { code, stderr } = await curl(second, 'EventService/Append', { events: [{ namespace: '' }] });
      assert.notEqual(code, 0);
      assert.match(stderr, /"code": "invalid_argument"/);
      assert.match(stderr, /events\[0\]\.namespace/);
    });

    await context.test('reflection lists the services', async () => {
      const { stdout, stderr } = await buf(['--list-methods', `http://${first.address}`]);
      for (const method of [
        'EventService/Append',
        'EventService/Produce',
        'EventService/Read',
        'ClusterService/GetStatus',
      ]) {
        assert.ok(stdout.includes(`flotilla.v1.${method}`), `${stdout}\n${stderr}`);
      }
    });

    await context.test('the health service answers SERVING, for the whole and for each service', async () => {
      for (const service of ['', 'flotilla.v1.EventService', 'flotilla.v1.ClusterService'])
        assert.equal(await healthOf(third, service), SERVING);
    });
  }),
);

const appended = v.object({
  receipt: v.object({
    firstId: v.string(),
    lastId: v.string(),
    count: v.pipe(v.number(), v.integer()),
    term: v.string(),
    logIndex: v.string(),
    incarnation: v.string(),
  }),
});

async function buf(args: readonly string[], input = ''): Promise<CommandResult> {
  const command = new CommandProcess(BUF, ['curl', '--protocol', 'grpc', '--http2-prior-knowledge', ...args], {
    cwd: ROOT,
  });
  command.endInput(input);
  return await command.result();
}

/** Calls a method with one message, or with the text of several. */
async function curl(node: ClusterNode, method: string, data: object | string): Promise<CommandResult> {
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  return await buf(['--data', '@-', `http://${node.address}/flotilla.v1.${method}`], text);
}

async function ok(calling: Promise<CommandResult>): Promise<unknown> {
  return messages(await calling)[0];
}

/** buf prints one JSON message after the other, each over several lines. */
function messages({ code, stdout, stderr }: CommandResult): Record<string, unknown>[] {
  assert.equal(code, 0, stderr);
  return stdout
    .split(/(?<=^})\n/m)
    .filter((text) => text.trim() !== '')
    .map((text) => v.parse(v.record(v.string(), v.unknown()), JSON.parse(text)));
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

const SERVING = 1;

/** grpc.health.v1: field 1 of the request is the service's name, of the response its status. */
async function healthOf(node: ClusterNode, service: string): Promise<number | undefined> {
  const client = new Client(node.address, credentials.createInsecure());
  const request = Buffer.from([0x0a, service.length, ...Buffer.from(service)]);
  try {
    const response = await new Promise<Buffer | undefined>((resolve, reject) => {
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        request,
        (error, bytes) => (error === null ? resolve(bytes) : reject(error)),
      );
    });
    return response?.[1];
  } finally {
    client.close();
  }
}
