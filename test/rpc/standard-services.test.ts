import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Client, credentials } from '@grpc/grpc-js';
import { appendResponse, startFixture } from './rpc-fixture.js';

/** A protobuf field 7 (list_services) of "*", and field 1 (service) of a health request. */
const LIST_SERVICES = Buffer.from([0x3a, 0x01, 0x2a]);

function openRaw(address: string): Client {
  return new Client(address, credentials.createInsecure());
}

const same = (value: Buffer): Buffer => value;

test('reflection lists our services', async (context) => {
  const { address } = await startFixture(context);
  const client = openRaw(address);
  context.after(() => client.close());
  const call = client.makeBidiStreamRequest('/grpc.reflection.v1.ServerReflection/ServerReflectionInfo', same, same);
  call.write(LIST_SERVICES);
  const response = await new Promise<Buffer>((resolve, reject) => {
    call.once('data', resolve);
    call.once('error', reject);
  });
  call.end();
  const text = response.toString('latin1');
  for (const service of ['flotilla.v1.EventService', 'flotilla.v1.ClusterService', 'flotilla.v1.PeerService'])
    assert.ok(text.includes(service), service);
});

test('health follows setServing', async (context) => {
  const { address, server } = await startFixture(context);
  const client = openRaw(address);
  context.after(() => client.close());
  const check = (service: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const request = Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)]);
      client.makeUnaryRequest('/grpc.health.v1.Health/Check', same, same, request, (error, response) => {
        if (error) reject(error);
        // Field 1: 1 is SERVING, 2 is NOT_SERVING.
        else resolve(response?.[1]);
      });
    });
  assert.equal(await check(''), 2);
  server.setServing(true);
  assert.equal(await check(''), 1);
  assert.equal(await check('flotilla.v1.EventService'), 1);
  server.setServing(false);
  assert.equal(await check('flotilla.v1.EventService'), 2);
});

test('the descriptor set is what the present contract compiles to', () => {
  const compiled = execFileSync('node_modules/.bin/buf', [
    'build',
    '--as-file-descriptor-set',
    '--exclude-source-info',
    '-o',
    '-',
  ]);
  assert.ok(
    compiled.equals(readFileSync('proto/flotilla.binpb')),
    'run: npx buf build --as-file-descriptor-set --exclude-source-info -o proto/flotilla.binpb',
  );
});

test('a strict reader of the reflection service finds a method by its name', async (context) => {
  const { address } = await startFixture(context, { append: async () => appendResponse('seen by buf') });
  const url = `http://${address}/flotilla.v1.EventService/Append`;
  const data = JSON.stringify({ events: [{ namespace: '/a', metadata: { key: 'value' } }] });
  const { stdout } = await promisify(execFile)('node_modules/.bin/buf', [
    'curl',
    '--http2-prior-knowledge',
    '--protocol',
    'grpc',
    '-d',
    data,
    url,
  ]);
  assert.equal(JSON.parse(stdout).receipt.firstId, 'seen by buf');
});
