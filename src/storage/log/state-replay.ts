import { FlotillaError, type GroupId, LIMITS, type LogIndex, logIndex, present } from '../../base/index.js';
import type { MachineKinds, StateMachine, StoredMachine } from '../../group/index.js';
import type { LogRecord } from '../../wire/index.js';
import type { Disk } from '../disk/index.js';
import { type CheckpointPlace, readCheckpoint } from '../segment/index.js';

/** Throws UPGRADE_NEEDED where this version does not know the kind of state machine that a group runs. */
export function machineOf(
  machines: MachineKinds,
  { group, machine }: { readonly group: GroupId; readonly machine: string },
): StoredMachine {
  const kind = Object.hasOwn(machines, machine) ? machines[machine] : undefined;
  if (kind !== undefined) return kind;
  throw new FlotillaError(
    'UPGRADE_NEEDED',
    `group ${group} runs a state machine of the kind ${JSON.stringify(machine)}, which this version does not know: ` +
      'start this node with a newer version of Flotilla',
  );
}

/** A log from which a state is made. */
export interface ReplayedLog {
  readonly machine: StoredMachine;
  /** Where its segments begin, oldest first: there checkpoints may stand. */
  readonly places: readonly CheckpointPlace[];
  writeCheckpoint(place: CheckpointPlace, state: Uint8Array): Promise<void>;
  read(from: LogIndex, to: LogIndex, maxBytes: number): Promise<LogRecord[]>;
}

/**
 * The group's state when the record of this index, which is committed, was the
 * last to be applied: the newest sound checkpoint below it, and what the records
 * after that make of it. Checkpoints on the way that are missing or damaged are
 * made again. That of the log's begin can't be: without it, DATA_LOSS.
 */
export async function stateAt(log: ReplayedLog, index: LogIndex, disk: Disk): Promise<StateMachine> {
  const { sound, unsound } = await newestSound(log, index, disk);
  const machine = sound;
  for (const place of unsound) {
    await replay(log, machine, place.before.index);
    await log.writeCheckpoint(place, machine.encode());
  }
  await replay(log, machine, index);
  return machine;
}

/**
 * The same for a start, which looks at every checkpoint there is to be: damage is to be mended before it is one of two.
 */
export async function recoverState(log: ReplayedLog, index: LogIndex, disk: Disk): Promise<StateMachine> {
  await stateAtBegin(log, disk);
  for (const { before } of log.places) if (before.index < index) await mendCheckpoint(log, before.index, disk);
  return await stateAt(log, index, disk);
}

/** Where records that it takes are damaged, too, it is made again once these are whole and it is needed. */
async function mendCheckpoint(log: ReplayedLog, index: LogIndex, disk: Disk): Promise<void> {
  try {
    await stateAt(log, index, disk);
  } catch (error) {
    if (!(error instanceof FlotillaError) || error.code !== 'DATA_LOSS') throw error;
  }
}

async function stateAtBegin(log: ReplayedLog, disk: Disk): Promise<StateMachine> {
  const first = present(log.places[0], 'a log has a segment');
  // Before the first record of all there is only one.
  if (first.before.index === 0) return log.machine.initial();
  return log.machine.decode(await readCheckpoint(disk, first));
}

async function newestSound(
  log: ReplayedLog,
  index: LogIndex,
  disk: Disk,
): Promise<{ readonly sound: StateMachine; readonly unsound: readonly CheckpointPlace[] }> {
  const candidates = log.places.slice(1).filter(({ before }) => before.index <= index);
  const unsound: CheckpointPlace[] = [];
  for (const place of candidates.reverse()) {
    try {
      return { sound: log.machine.decode(await readCheckpoint(disk, place)), unsound };
    } catch (error) {
      if (!(error instanceof FlotillaError) || error.code !== 'DATA_LOSS') throw error;
      unsound.unshift(place);
    }
  }
  return { sound: await stateAtBegin(log, disk), unsound };
}

async function replay(log: ReplayedLog, machine: StateMachine, through: LogIndex): Promise<void> {
  while (machine.appliedIndex < through) {
    const records = await log.read(logIndex(machine.appliedIndex + 1), through, LIMITS.readChunkBytes);
    const [first] = records;
    present(first, `record ${machine.appliedIndex + 1} is committed and stored`);
    for (const record of records) machine.apply(record);
  }
}
