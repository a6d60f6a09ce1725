import { isatty } from 'node:tty';
import { type Level, type Logger as PinoLogger, pino, stdSerializers, stdTimeFunctions } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { Logger } from '../group/index.js';
import { LOG_MODULES, type LogLevels, type LogModule } from './log-levels.js';
import { LogSink } from './log-sink.js';

/** `stdout` is readable text on a terminal and JSON elsewhere; files and other descriptors get JSON. */
export type LogDestination =
  | { readonly kind: 'stdout' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'descriptor'; readonly descriptor: number; readonly readable: boolean };

export interface LoggingOptions {
  readonly levels: LogLevels;
  readonly destination: LogDestination;
  /** Stands in every line. */
  readonly actor: number;
  /** Called for each line that could not be written. */
  readonly onDrop?: () => void;
}

export interface Logging {
  logger(module: LogModule): Logger;
  /** The last line of a process that is about to end; what can be written is written when it returns. */
  fatal(fields: Record<string, unknown>, message: string): void;
  /** Resolves when everything is written, at the latest after LIMITS.logFlushMs. */
  flush(): Promise<void>;
  /** Opens a log file anew, after it was moved. Throws where it can't be opened; the old one then stays in use. */
  reopen(): void;
}

/**
 * A line is one JSON object: `time` (ISO 8601 UTC), `level`, `module`, `actor`,
 * the fields, `msg`. Throws where the log file can't be opened.
 */
export function createLogging({ levels, destination, actor, onDrop }: LoggingOptions): Logging {
  const sink = new LogSink(targetOf(destination), onDrop);
  const readable =
    destination.kind === 'descriptor' ? destination.readable : destination.kind === 'stdout' && isatty(1);
  const root = pino(
    {
      level: 'debug',
      base: { actor },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: stdSerializers.errWithCause, cause: stdSerializers.errWithCause },
    },
    readable ? readableLines(sink) : sink,
  );
  const loggers = new Map(LOG_MODULES.map((module) => [module, moduleLogger(root, module, levels)]));
  const own = moduleLogger(root, 'node', levels);
  return {
    logger: (module) => loggers.get(module) ?? own,
    fatal: (fields, message) => {
      own.fatal(fields, message);
      sink.flushSync();
    },
    flush: () => sink.flush(),
    reopen: () => sink.reopen(),
  };
}

function targetOf(destination: LogDestination): string | number {
  switch (destination.kind) {
    case 'stdout':
      return 1;
    case 'file':
      return destination.path;
    case 'descriptor':
      return destination.descriptor;
  }
}

function moduleLogger(root: PinoLogger, module: LogModule, levels: LogLevels): PinoLogger {
  const level: Level | 'silent' = levels.modules[module] ?? levels.default;
  return root.child({ module }, { level });
}

/** Writes lines for people: local time, level, module and message, then the fields. */
function readableLines(sink: LogSink): { write(line: string): void } {
  const format = prettyFactory({
    colorize: true,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'actor,module',
    messageFormat: '{module}: {msg}',
    singleLine: true,
  });
  return { write: (line) => sink.write(format(line) ?? line) };
}
