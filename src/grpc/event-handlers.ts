import type { Handlers } from '../rpc/index.js';
import type { Caller, EventUseCases } from '../service/index.js';
import { eventToProto, type proto } from '../wire/index.js';
import { answerToProto, batchFromProto, numberedFromProto, receiptToProto } from './batch-mapping.js';
import { partToProto, readFromProto } from './read-mapping.js';

/** proto/flotilla/v1/event_service.proto. */
export function eventHandlers(events: EventUseCases, caller: Caller): Handlers<typeof proto.EventServiceDefinition> {
  return {
    append: async (request, call) => ({
      receipt: receiptToProto(await events.append(caller, batchFromProto(request, call))),
    }),
    produce: (stream, call) =>
      events.produce(caller, {
        receive: (onBatch) => stream.receive((request) => onBatch(numberedFromProto(request, call))),
        answer: (answer) => stream.send(answerToProto(answer)),
      }),
    read: async (request, stream, { signal }) => {
      const sink = { send: (part: Parameters<typeof partToProto>[0]) => stream.send(partToProto(part)) };
      await events.readInto(caller, readFromProto(request), sink, signal);
    },
    get: async (request, { signal }) => ({ event: eventToProto(await events.get(caller, request, signal)) }),
    openProducer: async (request) => {
      const { id, epoch, sequence, incarnation } = await events.openProducer(caller, request);
      return { producerId: id, epoch, lastSequence: sequence, incarnation };
    },
  };
}
