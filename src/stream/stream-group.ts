import type { GroupId } from '../base/index.js';
import { FlotillaError } from '../base/index.js';
import type { Group, MachineOptions } from '../group/index.js';
import { STREAM_KIND, type StreamCommand, type StreamMachine } from '../machine/stream/index.js';
import type { BatchTransport } from './ports.js';

/** A Raft group on which a stream runs. */
export type StreamGroup = Group<StreamCommand, StreamMachine>;

/** What runs on the group of a stream, and how its batches get to the leader. */
export function streamOn(group: GroupId, transport: BatchTransport): MachineOptions<StreamCommand, StreamMachine> {
  return {
    kind: STREAM_KIND,
    forward: async (leader, command) => {
      if (command.kind === 'events') return await transport.forward(leader, group, command.body, command.stamp);
      throw new FlotillaError('NOT_LEADER', 'this node does not lead the stream; nothing was proposed: ask the leader');
    },
  };
}
