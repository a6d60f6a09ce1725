/**
 * A server process whose node is a stand-in: `serve-fixture.ts BEHAVIOUR [LOG FILE]`.
 * Each step of the stand-in is a line of its log.
 */
import { runServer, type StartNode } from '../../cli/serve-process.js';
import { actorId, FlotillaError } from '../../src/base/index.js';
import type { ServerConfig } from '../../src/node/config/index.js';

const [behaviour = '', logFile] = process.argv.slice(2);

const start: StartNode = async (_config, logging) => {
  const log = logging.logger('node');
  log.info({}, 'start');
  // A listening socket and the like keep a node's process alive.
  setInterval(() => undefined, 1000);
  if (behaviour === 'never starts') return new Promise(() => undefined);
  if (behaviour === 'cannot start')
    throw new FlotillaError('INVALID_ARGUMENT', 'port 3000 is taken;\n  choose another');
  if (behaviour === 'may not start') throw Object.assign(new Error('EACCES: mkdir /x'), { code: 'EACCES' });
  if (behaviour === 'talks')
    for (let line = 0; line < 5000; line++) log.info({ line, padding: '.'.repeat(100) }, 'talk');
  if (behaviour === 'throws') setImmediate(() => raise('thrown in a callback'));
  if (behaviour === 'rejects') setImmediate(() => void Promise.reject(new Error('rejected unseen')));
  process.send?.('up');
  log.info({}, 'up');
  return {
    stop: (reason) => {
      log.info({ reason }, 'stop');
      if (behaviour !== 'is signalled while it stops')
        return behaviour === 'stops slowly' ? new Promise(() => undefined) : Promise.resolve();
      process.kill(process.pid, 'SIGINT');
      return new Promise((resolve) => setTimeout(resolve, 100));
    },
    stopped:
      behaviour === 'fails later'
        ? new Promise((resolve) =>
            setImmediate(() => resolve({ error: new FlotillaError('DATA_LOSS', 'the disk failed') })),
          )
        : new Promise(() => undefined),
  };
};

function raise(message: string): never {
  throw new Error(message);
}

const config: ServerConfig = {
  actor: actorId(5),
  host: '127.0.0.1',
  port: 3000,
  advertise: { host: '127.0.0.1', port: 3000 },
  httpPort: undefined,
  insecure: false,
  peerAddresses: [],
  electionTimeoutMs: 1000,
  heartbeatIntervalMs: 100,
  watchdogTimeoutMs: undefined,
  retention: {},
  dataDirectory: '/nowhere',
  cacheBytes: 1,
  segmentBytes: 1,
  minFreeBytes: undefined,
  eventDataBytes: 1,
  logLevels: { default: 'info', modules: {} },
  logDestination: logFile === undefined ? { kind: 'stdout' } : { kind: 'file', path: logFile },
  warnings: ['a warning of the configuration'],
};
process.exit(await runServer(config, start));
