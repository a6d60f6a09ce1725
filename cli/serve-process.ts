import { FlotillaError, LIMITS, messageOf } from '../src/base/index.js';
import type { ServerConfig } from '../src/node/config/index.js';
import type { Logging, Metrics } from '../src/telemetry/index.js';
import { EXIT } from './output.js';
import { watchStopRequests } from './stop-requests.js';

/** What this needs of a node that has started. */
interface StartedNode {
  stop(reason: string): Promise<void>;
  /** Resolves when the node has stopped, with an error where it stopped by itself. */
  readonly stopped: Promise<{ readonly error?: unknown }>;
}

export type StartNode = (config: ServerConfig, logging: Logging, metrics: Metrics) => Promise<StartedNode>;

/** A node that is asked to stop while it still starts gets this long to come up, so that it can close in order. */
const START_GRACE_MS = 2_000;

/** Time that a stop may take beyond LIMITS.shutdownMs, within which the node itself promises to stop. */
const STOP_SLACK_MS = 1_000;

/**
 * Runs one node until it is asked to stop, and returns the exit code. The
 * caller ends the process with it: whatever still runs then is not waited for.
 */
export async function runServer(config: ServerConfig, start: StartNode): Promise<number> {
  const { createLogging, createMetrics } = await import('../src/telemetry/index.js');
  const metrics = createMetrics();
  let logging: Logging;
  try {
    logging = createLogging({
      levels: config.logLevels,
      destination: config.logDestination,
      actor: config.actor,
      onDrop: () => metrics.logLinesDropped.inc(),
    });
  } catch (error) {
    complain(`--log-dest: the log can't be opened (${messageOf(error)}); check the path and its permissions`);
    return EXIT.failed;
  }
  endOnDefects(logging);
  const { first: stopRequest } = watchStopRequests({ onHangUp: reopenOnHangUp(config, logging) });
  for (const warning of config.warnings) logging.logger('node').warn({}, warning);
  const code = await runNode({ logging, stopRequest, starting: start(config, logging, metrics) });
  metrics.close();
  await logging.flush();
  return code;
}

interface Run {
  readonly logging: Logging;
  /** The reason, when it comes. */
  readonly stopRequest: Promise<string>;
  readonly starting: Promise<StartedNode>;
}

async function runNode({ logging, stopRequest, starting }: Run): Promise<number> {
  const log = logging.logger('node');
  const started = await Promise.race([
    settled(starting),
    stopRequest.then(() => within(settled(starting), START_GRACE_MS)),
  ]);
  if (started === undefined) {
    log.warn({}, 'asked to stop before the node had started');
    return EXIT.success;
  }
  if ('error' in started) {
    // On a terminal the line below says the same.
    const fields = fieldsOf(started.error);
    if (!('reason' in fields && process.stdout.isTTY)) logging.fatal(fields, 'the node could not start');
    complain(explainStartFailure(started.error));
    return EXIT.failed;
  }
  const node = started.value;
  const reason = await Promise.race([stopRequest, node.stopped.then(() => undefined)]);
  if (reason === undefined) return failure(logging, await node.stopped);

  const stopping = await within(settled(node.stop(reason)), LIMITS.shutdownMs + STOP_SLACK_MS);
  if (stopping === undefined) {
    log.error({}, `the node did not stop within ${LIMITS.shutdownMs + STOP_SLACK_MS} ms and is ended`);
    return EXIT.failed;
  }
  if ('error' in stopping) return failure(logging, stopping);
  return EXIT.success;
}

/** The node ended by itself, which it does only where going on could break a promise. */
function failure(logging: Logging, { error }: { readonly error?: unknown }): number {
  logging.fatal(fieldsOf(error), 'the node stopped');
  complain(`the node stopped: ${messageOf(error ?? 'no reason is known')}`);
  return EXIT.failed;
}

/** What has a message for people needs no stack trace: it is no defect of ours. */
function fieldsOf(error: unknown): Record<string, unknown> {
  return error instanceof FlotillaError || codeOf(error) !== undefined ? { reason: messageOf(error) } : { error };
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}

/** A defect leaves the state unknown: nothing may be acknowledged from it, so the process ends at once. */
function endOnDefects(logging: Logging): void {
  process.on('uncaughtException', (error: unknown) => {
    logging.fatal({ error }, 'a defect ended the node');
    complain(`a defect ended the node: ${messageOf(error)}; the log has the details`);
    process.exit(EXIT.failed);
  });
}

/** logrotate sends SIGHUP for a new file; a closing terminal sends it, too, and then means the node. */
function reopenOnHangUp(config: ServerConfig, logging: Logging): (() => void) | undefined {
  if (config.logDestination.kind !== 'file' || process.stdin.isTTY) return undefined;
  return () => {
    try {
      logging.reopen();
    } catch (error) {
      logging.logger('node').error({ error }, "the log file can't be opened anew; the old one stays in use");
    }
  };
}

function explainStartFailure(error: unknown): string {
  const message = messageOf(error);
  switch (codeOf(error)) {
    case 'EACCES':
    case 'EPERM':
      return `${message}; this user may not do that: check the owner and permissions of --data-dir`;
    case 'EROFS':
      return `${message}; the file system is read-only: choose another --data-dir`;
    case 'ENOSPC':
      return `${message}; the disk is full: free space or choose another --data-dir`;
    case 'ENOTDIR':
    case 'EEXIST':
      return `${message}; --data-dir must be a directory`;
    default:
      return message;
  }
}

/** One line, whatever the message holds. */
function complain(message: string): void {
  process.stderr.write(`error: ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
}

type Settled<T> = { readonly value: T } | { readonly error: unknown };

async function settled<T>(promise: Promise<T>): Promise<Settled<T>> {
  try {
    return { value: await promise };
  } catch (error) {
    return { error };
  }
}

/** What `promise` resolves to, or undefined after `timeoutMs`. */
async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timeout: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timeout = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timeout);
  }
}
