import { proto } from '../../src/wire/index.js';

/** A request for everything but for what is given. */
export function readRequest(given: Partial<proto.ReadRequest> = {}): proto.ReadRequest {
  // What the protocol takes an empty message for.
  return { ...proto.ReadRequest.decode(new Uint8Array(0)), ...given };
}
