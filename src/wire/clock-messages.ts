import { FlotillaError } from '../base/index.js';
import { LATEST_TIMESTAMP_MS } from './batch-events.js';
import type * as proto from './proto.js';

/** How nodes compare their clocks: a question, and the time of day when it came. */
export type ClockMessage =
  | { readonly type: 'clock-request'; readonly requestId: number }
  | { readonly type: 'clock-answer'; readonly requestId: number; readonly utcMs: number };

export function clockMessageToProto(message: ClockMessage): proto.DeliverRequest {
  const { requestId } = message;
  if (message.type === 'clock-request')
    return { group: 0, message: { $case: 'clockRequest', value: { requestId } }, more: [] };
  return { group: 0, message: { $case: 'clockAnswer', value: { requestId, utcMs: message.utcMs } }, more: [] };
}

/** The inverse; undefined where it is another message. Throws INVALID_ARGUMENT where the time is none. */
export function clockMessageFromProto({ message }: proto.DeliverRequest): ClockMessage | undefined {
  if (message?.$case === 'clockRequest') return { type: 'clock-request', requestId: message.value.requestId };
  if (message?.$case !== 'clockAnswer') return undefined;
  const { requestId, utcMs } = message.value;
  if (utcMs > LATEST_TIMESTAMP_MS)
    throw new FlotillaError('INVALID_ARGUMENT', `clock_answer.utc_ms: ${utcMs} is no time`);
  return { type: 'clock-answer', requestId, utcMs };
}

/** Whether a frame is about clocks only. */
export function isAllClocks(frame: proto.DeliverRequest): boolean {
  return [frame, ...frame.more].every(
    ({ message }) => message?.$case === 'clockRequest' || message?.$case === 'clockAnswer',
  );
}
