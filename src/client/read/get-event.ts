import { FlotillaError } from '../../base/index.js';
import { formatEventId, parseEventId } from '../../event/index.js';
import { eventFromProto, proto } from '../../wire/index.js';
import { askInTurn, type ClientContext } from '../connection/attempts.js';
import { type Event, PlainEvents } from './event.js';

/** One event by its id, from whichever node answers. */
export async function getEvent(context: ClientContext, text: string, signal: AbortSignal): Promise<Event> {
  const id = formatEventId(parseEventId(text, 'id'));
  return await askInTurn(
    context,
    proto.EventServiceDefinition,
    async (client, call) => {
      const { event } = await client.unary('get', { stream: context.stream, id, incarnation: '' }, call);
      const [found] = new PlainEvents(event === undefined ? [] : [eventFromProto(event)]).toEvents();
      if (found === undefined) throw new FlotillaError('INTERNAL', `${client.address} answered without an event`);
      return found;
    },
    { isRead: true, signal },
  );
}
