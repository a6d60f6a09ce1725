import type { Formation, PeerLinks } from '../peer/index.js';
import type { RpcServer } from '../rpc/index.js';
import { type MembersView, takeInMember } from '../service/index.js';
import { proto } from '../wire/index.js';

/** What other nodes may call of this one. */
export interface PeerFace {
  /** Throws where the node is not so far. */
  readonly formation: () => Formation;
  /** Throws where the node is not so far. */
  readonly links: () => PeerLinks;
  readonly view: () => MembersView;
}

export function addPeerService(server: RpcServer, { formation, links, view }: PeerFace): void {
  server.add(proto.PeerServiceDefinition, {
    introduce: (request) => formation().introduce(request),
    join: (stream, call) =>
      links().server.join(stream, call, (joiner, predecessor) => takeInMember(view(), joiner, predecessor)),
    deliver: (stream, call) => links().server.deliver(stream, call),
    forward: (stream, call) => links().server.forward(stream, call),
    fetchRecords: (stream, call) => links().server.fetchRecords(stream, call),
  });
}
