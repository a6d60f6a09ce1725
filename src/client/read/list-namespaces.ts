import { FlotillaError } from '../../base/index.js';
import { compileGlob } from '../../event/index.js';
import { RpcClient } from '../../rpc/index.js';
import { proto } from '../../wire/index.js';
import { Attempts, type ClientContext } from '../connection/attempts.js';

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

/** Goes on behind the last one with another node where one fails. */
export async function* listNamespaces(
  context: ClientContext,
  glob: string | undefined,
  options: NamespacesOptions & { readonly signal: AbortSignal },
): AsyncGenerator<NamespaceSummary, void, undefined> {
  const attempts = new Attempts(context, { isRead: true, signal: options.signal });
  let { after } = options;
  let remaining = options.limit ?? 0;
  for (;;) {
    const { address } = attempts;
    try {
      for await (const summary of namespacesOf(address, context, glob, { ...options, after, limit: remaining })) {
        after = summary.namespace;
        attempts.progress();
        yield summary;
        if (remaining > 0 && --remaining === 0) return;
      }
      return;
    } catch (error) {
      await attempts.failed(error);
    }
  }
}

/** One node's list. Throws what the node, or the way to it, has failed with. */
async function* namespacesOf(
  address: string,
  { stream }: ClientContext,
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
