import type { TestContext } from 'node:test';
import { type Handlers, RpcClient, RpcServer, type RpcServerOptions } from '../../src/rpc/index.js';
import { proto } from '../../src/wire/index.js';

type EventService = typeof proto.EventServiceDefinition;
type EventHandlers = Handlers<EventService>;

export interface Fixture {
  readonly server: RpcServer;
  readonly client: RpcClient<EventService>;
  readonly address: string;
  readonly internalErrors: { readonly error: unknown; readonly method: string }[];
}

/** A server with the given handlers (the others fail) and a client of it; both end with the test. */
export async function startFixture(
  context: TestContext,
  handlers: Partial<EventHandlers> = {},
  options: Partial<RpcServerOptions> = {},
): Promise<Fixture> {
  const internalErrors: { error: unknown; method: string }[] = [];
  const server = new RpcServer({
    onInternalError: (error, method) => internalErrors.push({ error, method }),
    ...options,
  });
  const missing = (): Promise<never> => Promise.reject(new Error('this test has no such handler'));
  server.add(proto.EventServiceDefinition, {
    append: missing,
    produce: missing,
    read: missing,
    get: missing,
    openProducer: missing,
    ...handlers,
  });
  const port = await server.listen('127.0.0.1', 0);
  const address = `127.0.0.1:${port}`;
  const client = new RpcClient(proto.EventServiceDefinition, address);
  context.after(async () => {
    client.close();
    await server.close(0);
  });
  return { server, client, address, internalErrors };
}

export const appendRequest = (stream: string): proto.AppendRequest => ({
  stream,
  events: [],
  packed: undefined,
  producer: undefined,
});

export const appendResponse = (firstId: string): proto.AppendResponse => ({
  receipt: { firstId, lastId: '', count: 1, term: 1, logIndex: 2, incarnation: '' },
});

export const produceRequest = (requestId: number, body = new Uint8Array(0)): proto.ProduceRequest => ({
  requestId: String(requestId),
  stream: '',
  events: [],
  packed: { body, count: 1, checksum: 0 },
  producer: undefined,
});

export const produceResponse = (requestId: number): proto.ProduceResponse => ({
  requestId: String(requestId),
  outcome: undefined,
});

export const readResponse = (data: Uint8Array): proto.ReadResponse => ({
  content: { $case: 'batches', value: { batches: [data] } },
});
