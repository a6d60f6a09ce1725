import type { MachineKind } from '../state-machine.js';
import { ClusterAdmission } from './cluster-admission.js';
import type { ClusterCommand } from './cluster-commands.js';
import { ClusterMachine } from './cluster-machine.js';

/** What runs on the group of the cluster. */
export const CLUSTER_KIND: MachineKind<ClusterCommand, ClusterMachine> = {
  name: 'cluster',
  initial: () => ClusterMachine.initial(),
  decode: (bytes) => ClusterMachine.decode(bytes),
  admission: () => new ClusterAdmission(),
  write: (payload, commands) => {
    for (const command of commands) payload.set(command.payload);
  },
};
