import { FlotillaError, messageOf } from '../base/index.js';
import { formatEventId, parseEventId } from '../event/index.js';
import { RpcClient } from '../rpc/index.js';
import { eventFromProto, proto } from '../wire/index.js';
import { sleep } from './connect.js';
import { type Event, PlainEvents } from './event.js';
import { Patience, type ReaderContext } from './reader.js';

/** One event by its id, from whichever node answers. */
export async function getEvent(context: ReaderContext, text: string, signal: AbortSignal): Promise<Event> {
  const id = formatEventId(parseEventId(text, 'id'));
  const patience = new Patience(context, false);
  for (let address = context.hosts.preferred; ; address = context.hosts.after(address)) {
    let failure: FlotillaError;
    try {
      return await askFor(id, address, context, signal);
    } catch (error) {
      failure =
        error instanceof FlotillaError ? error : new FlotillaError('INTERNAL', messageOf(error), { cause: error });
    }
    if (signal.aborted) throw new FlotillaError('CANCELLED', 'the client was closed');
    await sleep(patience.pauseAfter(failure, false), signal);
  }
}

async function askFor(
  id: string,
  address: string,
  { stream, timeoutMs, onConnected }: ReaderContext,
  signal: AbortSignal,
): Promise<Event> {
  const client = new RpcClient(proto.EventServiceDefinition, address);
  try {
    const { event } = await client.unary('get', { stream, id, incarnation: '' }, { timeoutMs, signal });
    onConnected(address);
    const [found] = new PlainEvents(event === undefined ? [] : [eventFromProto(event)]).toEvents();
    if (found === undefined) throw new FlotillaError('INTERNAL', `${address} answered without an event`);
    return found;
  } finally {
    client.close();
  }
}
