/**
 * What a module writes its log to; telemetry implements it. `fields` are
 * machine-readable and become keys of the line: not `time`, `level`, `module`,
 * `actor` or `msg`, which are the line's own. An error goes under `error`.
 */
export interface Logger {
  /** Steps that matter only while a fault is being looked for. */
  debug(fields: Record<string, unknown>, message: string): void;
  /** What an operator wants to have in the record: starts, elections, links. */
  info(fields: Record<string, unknown>, message: string): void;
  /** Something went wrong and the node helps itself. */
  warn(fields: Record<string, unknown>, message: string): void;
  /** Something is wrong and an operator has to act. */
  error(fields: Record<string, unknown>, message: string): void;
}
