import { FlotillaError } from '../base/index.js';
import { compileGlob } from '../event/index.js';
import { RpcClient } from '../rpc/index.js';
import { proto } from '../wire/index.js';
import { BackOff } from './back-off.js';
import { sleep } from './connect.js';
import { unreachableError } from './link-keeper.js';
import type { ReaderContext } from './reader.js';

/** What a stream holds of a namespace. */
export interface NamespaceSummary {
  readonly namespace: string;
  /** Number of events; those that were given up do not count. */
  readonly count: number;
  /** 25 digits. */
  readonly firstId: string;
  readonly lastId: string;
}

export interface NamespacesOptions {
  /** Begin behind this namespace; without it with the first. */
  readonly after?: string | undefined;
  /** End after so many; none or 0: no limit. */
  readonly limit?: number | undefined;
  /** Ends the list with CANCELLED. */
  readonly signal?: AbortSignal | undefined;
}

/** Goes on behind the last one with another node where one fails, until `connectTimeoutMs` have brought nothing. */
export async function* listNamespaces(
  { hosts, stream, connectTimeoutMs }: ReaderContext,
  glob: string | undefined,
  options: NamespacesOptions & { readonly signal: AbortSignal },
): AsyncGenerator<NamespaceSummary, void, undefined> {
  const backOff = new BackOff();
  let { after } = options;
  let remaining = options.limit ?? 0;
  let progressMs = performance.now();
  for (let address = hosts.preferred; ; address = hosts.after(address)) {
    try {
      for await (const summary of namespacesOf(address, stream, glob, { ...options, after, limit: remaining })) {
        after = summary.namespace;
        progressMs = performance.now();
        yield summary;
        if (remaining > 0 && --remaining === 0) return;
      }
      return;
    } catch (error) {
      const again = error instanceof FlotillaError && GOES_ON.has(error.code) && !options.signal.aborted;
      if (!again) throw error;
      if (performance.now() - progressMs >= connectTimeoutMs)
        throw error.code === 'UNREACHABLE' ? unreachableError(hosts, error) : error;
    }
    await sleep(backOff.nextMs(), options.signal);
  }
}

/** Failures after which another node may answer, or the same one later. */
const GOES_ON: ReadonlySet<string> = new Set([
  'UNREACHABLE',
  'OUTCOME_UNKNOWN',
  'SHUTTING_DOWN',
  'NOT_READY',
  'DATA_LOSS',
]);

/** One node's list. Throws what the node, or the way to it, has failed with. */
async function* namespacesOf(
  address: string,
  stream: string,
  glob: string | undefined,
  { after = '', limit = 0, signal }: NamespacesOptions,
): AsyncGenerator<NamespaceSummary, void, undefined> {
  if (glob !== undefined) compileGlob(glob, 'glob');
  if (!Number.isSafeInteger(limit) || limit < 0) {
    throw new FlotillaError(
      'INVALID_ARGUMENT',
      `limit: ${String(limit)} is not a number of namespaces; write 0 or more`,
    );
  }
  const client = new RpcClient(proto.NamespaceServiceDefinition, address);
  const request = { stream, glob: glob ?? '', after, limit };
  const call = client.serverStream('listNamespaces', request, signal === undefined ? {} : { signal });
  try {
    for await (const { namespaces } of call) yield* namespaces;
  } finally {
    call.cancel();
    client.close();
  }
}
