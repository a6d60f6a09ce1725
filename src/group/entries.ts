import { LIMITS } from '../base/index.js';
import { type Command, type MachineKind, traitsOf } from '../machine/index.js';
import type { LogRecord } from '../wire/index.js';
import type { GroupParts } from './group-parts.js';
import type { GroupTime, TimeStamp } from './group-time.js';

export interface EntriesOptions<C extends Command> extends Pick<GroupParts, 'core' | 'log'> {
  readonly kind: Pick<MachineKind<C, never>, 'write'>;
  readonly time: GroupTime;
}

/** Makes records of commands, at the end of the leader's log. */
export class Entries<C extends Command> {
  private readonly options: EntriesOptions<C>;

  constructor(options: EntriesOptions<C>) {
    this.options = options;
  }

  /** What is not durable yet waits in memory: more is taken in once it is little enough. */
  get diskKeepsUp(): boolean {
    const { core, log } = this.options;
    return log.bytesAfter(core.durableIndex) < LIMITS.unpersistedBytes;
  }

  /** The time that a command's record bears; undefined: none; `awaited`: it needs one, and none is known yet. */
  stampFor({ kind }: C): TimeStamp | undefined | 'awaited' {
    const { time } = traitsOf(kind);
    const stamp = time === undefined ? undefined : this.options.time.stamp();
    return stamp === undefined && time === 'needed' ? 'awaited' : stamp;
  }

  /** Appends the record of these commands: one, or several of a shared kind. */
  seal(commands: readonly C[], stamp: TimeStamp | undefined): LogRecord {
    const { core, log, kind: machine } = this.options;
    const [{ kind, appendedMs = stamp?.appendedMs }] = commands as [C];
    return log.seal(
      {
        kind,
        term: core.term,
        eventCount: commands.reduce((sum, { eventCount }) => sum + eventCount, 0),
        payloadBytes: commands.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0),
        ...(appendedMs === undefined ? {} : { appendedMs }),
      },
      (payload, { nextCounter }) =>
        machine.write(payload, commands, { firstCounter: nextCounter, timestampMs: stamp?.timestampMs ?? 0 }),
    );
  }
}
