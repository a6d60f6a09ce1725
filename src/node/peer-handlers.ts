import { type MembersView, takeInMember } from '../api/index.js';
import { type Formation, joinHandler, type PeerLinks } from '../peer/index.js';
import type { RpcServer } from '../rpc/index.js';
import { proto, type VersionRange } from '../wire/index.js';

/** What other nodes may call of this one. */
export interface PeerFace {
  /** Throws where the node is not so far. */
  readonly formation: () => Formation;
  /** Throws where the node is not so far. */
  readonly links: () => PeerLinks;
  readonly view: () => MembersView;
  readonly versions: () => VersionRange;
}

export function addPeerService(server: RpcServer, { formation, links, view, versions }: PeerFace): void {
  server.add(proto.PeerServiceDefinition, {
    introduce: (request) => formation().introduce(request),
    join: joinHandler(versions, async (joiner, predecessor) => {
      const { members } = await takeInMember(view(), joiner, predecessor);
      return { clusterId: view().clusterId, members };
    }),
    deliver: (stream, call) => links().deliver(stream, call),
    forward: (stream, call) => links().forwarded(stream, call),
    fetchRecords: (request, call) => links().fetched(request, call),
  });
}
