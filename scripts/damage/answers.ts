import { FlotillaError } from '../../src/base/index.js';
import { compileGlob } from '../../src/event/index.js';
import { RpcClient } from '../../src/rpc/index.js';
import { proto } from '../../src/wire/index.js';
import { readRequest } from '../../test/support/read-request.js';

/** An event that was acknowledged. */
export interface KnownEvent {
  readonly id: string;
  readonly namespace: string;
  readonly data: string;
}

/** A node gave out what was never so, or left out what must be there and did not say so. */
export class WrongAnswer extends Error {}

export const GLOB = '/damage/3/**';

const CALL_TIMEOUT_MS = 60_000;
const COUNTER_DIGITS = 20;

export const counterOf = (id: string): number => Number(id.slice(0, COUNTER_DIGITS));

/** What one question was answered with: all of it, or so much before it failed. */
interface Answer<Item> {
  readonly items: readonly Item[];
  readonly failure: FlotillaError | undefined;
}

/** How a node stood up to all questions. */
export interface Verdict {
  /** The questions that were refused with DATA_LOSS; all others had exactly the right answer. */
  readonly refused: readonly string[];
  /** What was said, once each. */
  readonly messages: readonly string[];
  /** How many events came, forwards and backwards, before the first refusal. */
  readonly reached: readonly [number, number];
}

/**
 * Asks one very node, without a client that would turn to another, and compares
 * each answer with what was acknowledged. What is refused may be refused with
 * DATA_LOSS only, and what came before it must be right.
 */
export class Questions {
  private readonly address: string;
  private readonly consistency: proto.Consistency;

  constructor(address: string, consistency: proto.Consistency) {
    this.address = address;
    this.consistency = consistency;
  }

  /** The events from the first to the last, in order, each once, and nothing else. */
  async forwards(known: readonly KnownEvent[], { orRefused = false } = {}): Promise<FlotillaError | undefined> {
    const { items, failure } = await this.read({});
    // While a node starts it may refuse for many reasons.
    if (orRefused && failure !== undefined)
      return this.compare('forwards', known.slice(0, items.length), { items, failure: undefined });
    return this.compare('forwards', known, { items, failure });
  }

  /** The last of the known events, from the first of these on. */
  async rest(known: readonly KnownEvent[]): Promise<FlotillaError | undefined> {
    const [first] = known;
    return first && this.compare('the rest', known, await this.read({ startAt: first.id }));
  }

  /** Asks in every way that there is. */
  async all(known: readonly KnownEvent[]): Promise<Verdict> {
    const matches = known.filter(({ namespace }) => compileGlob(GLOB, 'glob').matches(namespace));
    const middle = known[known.length >> 1];
    const [forwards, backwards] = [await this.read({}), await this.read({ backwards: true })];
    const failures = {
      forwards: this.compare('forwards', known, forwards),
      backwards: this.compare('backwards', known.toReversed(), backwards),
      'by glob': this.compare('by glob', matches, await this.read({ glob: GLOB })),
      'by glob backwards': this.compare(
        'by glob backwards',
        matches.toReversed(),
        await this.read({ glob: GLOB, backwards: true }),
      ),
      'from the middle': this.compare(
        'from the middle',
        known.slice(known.length >> 1),
        await this.read({ startAt: middle?.id ?? '' }),
      ),
      namespaces: await this.namespaces(known, ''),
      'namespaces by glob': await this.namespaces(matches, GLOB),
    };
    const refused = Object.entries(failures).flatMap(([question, failure]) =>
      failure === undefined ? [] : [{ question, failure }],
    );
    return {
      refused: refused.map(({ question }) => question),
      messages: [...new Set(refused.map(({ failure }) => failure.message))],
      reached: [forwards.items.length, backwards.items.length],
    };
  }

  /** One after the other by its id; resolves with those that were refused with DATA_LOSS. */
  async byId(known: readonly KnownEvent[]): Promise<KnownEvent[]> {
    const client = new RpcClient(proto.EventServiceDefinition, this.address);
    const refused: KnownEvent[] = [];
    try {
      for (const event of known) {
        try {
          const { event: found } = await client.unary(
            'get',
            { stream: '', id: event.id, incarnation: '' },
            { timeoutMs: CALL_TIMEOUT_MS },
          );
          this.compare(`the event ${event.id}`, [event], {
            items: found === undefined ? [] : [knownOf(found)],
            failure: undefined,
          });
        } catch (error) {
          requireDataLoss(`the event ${event.id}`, error);
          refused.push(event);
        }
      }
    } finally {
      client.close();
    }
    return refused;
  }

  private async read(request: Partial<proto.ReadRequest>): Promise<Answer<KnownEvent>> {
    const client = new RpcClient(proto.EventServiceDefinition, this.address);
    const items: KnownEvent[] = [];
    try {
      const asked = readRequest({ consistency: this.consistency, ...request });
      for await (const { content } of client.serverStream('read', asked, { timeoutMs: CALL_TIMEOUT_MS }))
        if (content?.$case === 'events') items.push(...content.value.events.map(knownOf));
      return { items, failure: undefined };
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      return { items, failure: error };
    } finally {
      client.close();
    }
  }

  private async namespaces(known: readonly KnownEvent[], glob: string): Promise<FlotillaError | undefined> {
    const client = new RpcClient(proto.NamespaceServiceDefinition, this.address);
    const lines: string[] = [];
    const what = `namespaces of ${glob || 'everything'}`;
    try {
      const asked = { stream: '', glob, after: '', limit: 0 };
      for await (const { namespaces } of client.serverStream('listNamespaces', asked, { timeoutMs: CALL_TIMEOUT_MS }))
        lines.push(
          ...namespaces.map(({ namespace, count, firstId, lastId }) => `${namespace} ${count} ${firstId} ${lastId}`),
        );
    } catch (error) {
      return requireDataLoss(what, error);
    } finally {
      client.close();
    }
    const expected = namespacesOf(known);
    if (lines.join('\n') !== expected.join('\n'))
      throw new WrongAnswer(
        `${this.address}: ${what}: ${JSON.stringify(lines)} in place of ${JSON.stringify(expected)}`,
      );
    return undefined;
  }

  /** Undefined where the answer is whole and right, the failure where it is right as far as it goes. */
  private compare(
    what: string,
    known: readonly KnownEvent[],
    { items, failure }: Answer<KnownEvent>,
  ): FlotillaError | undefined {
    for (const [at, event] of items.entries()) {
      const expected = known[at];
      if (
        expected === undefined ||
        event.id !== expected.id ||
        event.namespace !== expected.namespace ||
        event.data !== expected.data
      )
        throw new WrongAnswer(
          `${this.address}: ${what}: event ${event.id} comes ${at}th, in place of ` +
            `${expected?.id ?? 'the end'}, or is another`,
        );
    }
    if (failure !== undefined) return requireDataLoss(what, failure);
    if (items.length === known.length) return undefined;
    throw new WrongAnswer(
      `${this.address}: ${what}: it ends after ${items.length} of ${known.length} events, and does not say why`,
    );
  }
}

function requireDataLoss(what: string, error: unknown): FlotillaError {
  if (error instanceof FlotillaError && error.code === 'DATA_LOSS') return error;
  throw error instanceof FlotillaError
    ? new WrongAnswer(`${what}: refused with ${error.code}: ${error.message}`)
    : error;
}

function knownOf({ id, namespace, data }: proto.Event): KnownEvent {
  return { id, namespace, data: Buffer.from(data).toString() };
}

function namespacesOf(known: readonly KnownEvent[]): string[] {
  const byName = new Map<string, { count: number; firstId: string; lastId: string }>();
  for (const { namespace, id } of known) {
    const found = byName.get(namespace);
    if (found === undefined) byName.set(namespace, { count: 1, firstId: id, lastId: id });
    else byName.set(namespace, { ...found, count: found.count + 1, lastId: id });
  }
  return [...byName]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { count, firstId, lastId }]) => `${name} ${count} ${firstId} ${lastId}`);
}
