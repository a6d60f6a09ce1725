/** The parts of a node that log under a name of their own; `--log MODULE=LEVEL` takes these. */
export const LOG_MODULES = ['node', 'raft', 'storage', 'peer', 'api', 'http', 'formation'] as const;

export type LogModule = (typeof LOG_MODULES)[number];

/** The levels, from everything to nothing. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogLevels {
  /** Level of every module that has none of its own. */
  readonly default: LogLevel;
  readonly modules: Readonly<Partial<Record<LogModule, LogLevel>>>;
}

export function isLogModule(value: string): value is LogModule {
  return LOG_MODULES.some((module) => module === value);
}

export function isLogLevel(value: string): value is LogLevel {
  return LOG_LEVELS.some((level) => level === value);
}
