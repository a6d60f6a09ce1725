import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlotillaError, LIMITS } from '../../src/base/index.js';
import { authorize, type Caller, Service, type ServiceOptions, unrestricted } from '../../src/service/index.js';

/** What is touched before the caller is known to be allowed fails the test. */
function untouchable<Type extends object>(name: string): Type {
  return new Proxy(() => undefined, {
    get: (_, key) => {
      throw new Error(`${name}.${String(key)} was looked at before the caller was known to be allowed`);
    },
    apply: () => {
      throw new Error(`${name} was called before the caller was known to be allowed`);
    },
  }) as unknown as Type;
}

function serviceOfNobody(): Service {
  const options: Omit<ServiceOptions, 'newAllowance'> = {
    streams: untouchable('streams'),
    limits: { eventDataBytes: LIMITS.eventDataBytes },
    metrics: untouchable('metrics'),
    storage: untouchable('storage'),
    view: untouchable('view'),
    askNode: untouchable('askNode'),
  };
  return new Service({ ...options, newAllowance: () => untouchable('allowance') });
}

/** Every public method of everything that a service consists of. */
function useCasesOf(service: Service): { readonly name: string; readonly run: (caller: Caller) => unknown }[] {
  const { events, streams, cluster, backups, ...others } = service;
  // What is neither a group of use cases nor of the service's own making has to be listed here.
  assert.deepEqual(Object.keys(others), ['intake']);
  return Object.entries({ events, streams, cluster, backups }).flatMap(([group, useCases]) =>
    Object.getOwnPropertyNames(Object.getPrototypeOf(useCases))
      .filter((name) => name !== 'constructor' && !PRIVATE.has(`${group}.${name}`))
      .map((name) => ({
        name: `${group}.${name}`,
        run: (caller: Caller) => Reflect.apply(Reflect.get(useCases, name), useCases, [caller, {}]),
      })),
  );
}

/** Helpers, which TypeScript keeps to their class. */
const PRIVATE: ReadonlySet<string> = new Set(['events.submit', 'events.pointingAtLeader']);

async function outcomeOf(result: unknown): Promise<unknown> {
  const isIterable = typeof result === 'object' && result !== null && Symbol.asyncIterator in result;
  const running = isIterable ? (result as AsyncIterable<unknown>)[Symbol.asyncIterator]().next() : result;
  return await Promise.resolve(running).then(
    (value) => value,
    (error: unknown) => error,
  );
}

test('every use case refuses who may do nothing, before it looks at anything', async () => {
  const nobody: Caller = { principal: 'nobody', permissions: new Set() };
  const useCases = useCasesOf(serviceOfNobody());
  assert.ok(useCases.length >= 14, `${useCases.length} use cases`);
  for (const { name, run } of useCases) {
    const outcome = await outcomeOf(run(nobody));
    const code = outcome instanceof FlotillaError ? outcome.code : String(outcome);
    assert.equal(code, 'PERMISSION_DENIED', name);
  }
});

test('a caller may do what its permissions name, and hears what it may not, and where', () => {
  const reader: Caller = { principal: 'reader', permissions: new Set(['read']) };
  authorize(reader, 'read', 'default', ['/a/**']);
  authorize(unrestricted('anybody'), 'admin');
  assert.throws(() => authorize(reader, 'append', 'orders'), {
    code: 'PERMISSION_DENIED',
    message: 'reader may not append in stream "orders"',
  });
  assert.throws(() => authorize(reader, 'admin'), { message: 'reader may not admin' });
});
