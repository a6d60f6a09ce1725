/** One setting of a server: a flag, an environment variable and a key of the configuration file. */
export interface ServerOption {
  /** One letter, where the flag has a short form. */
  readonly short?: string;
  /** What stands for the value in the help text; none: the flag alone says it. */
  readonly argument?: string;
  /** May be given several times; a comma list in the environment, a list in the file. */
  readonly repeatable?: true;
  readonly group: 'Network' | 'Cluster' | 'Storage' | 'Logs' | 'Settings';
  readonly summary: string;
  /** As the help text shows it. */
  readonly default?: string;
}

/**
 * Every option of `flotilla serve`, by its long name. The command line, the
 * environment, the configuration file, the help text and docs/operating.md
 * all follow this table.
 */
export const SERVER_OPTIONS = {
  port: {
    short: 'p',
    argument: 'PORT',
    group: 'Network',
    summary: 'gRPC for clients and other nodes; 0 takes any free port',
    default: '3000',
  },
  host: {
    argument: 'HOST',
    group: 'Network',
    summary: 'address to bind; anything but loopback needs --insecure, because security is not built yet',
    default: '127.0.0.1',
  },
  advertise: {
    argument: 'HOST:PORT',
    group: 'Network',
    summary: 'what clients and other nodes are told',
    default: 'host:port',
  },
  'http-port': {
    argument: 'PORT',
    group: 'Network',
    summary: '/metrics, /livez and /readyz; 0 turns it off',
    default: 'port + 1000',
  },
  insecure: { group: 'Network', summary: 'accept that anybody who reaches the port can read and write, unencrypted' },
  'actor-id': {
    short: 'A',
    argument: 'ID',
    group: 'Cluster',
    summary: 'this node, 1 to 65535, unique in the cluster; required with --peer-addr',
    default: '1',
  },
  'peer-addr': {
    short: 'P',
    argument: 'HOST:PORT',
    repeatable: true,
    group: 'Cluster',
    summary: 'another node of the cluster; repeatable',
  },
  'election-timeout': {
    argument: 'DURATION',
    group: 'Cluster',
    summary: 'without a leader for so long, a node stands for election',
    default: '1s',
  },
  'heartbeat-interval': {
    argument: 'DURATION',
    group: 'Cluster',
    summary: 'how often a leader is heard of',
    default: '100ms',
  },
  'watchdog-timeout': {
    argument: 'DURATION',
    group: 'Cluster',
    summary: 'a node whose main thread has stood still for so long ends itself; 0 turns that off',
    default: '10s',
  },
  'data-dir': {
    short: 'd',
    argument: 'DIR',
    group: 'Storage',
    summary: 'created on the first start; nodes of one machine may share it',
    default: '.flotilla',
  },
  'max-cache-memory': {
    short: 'M',
    argument: 'SIZE',
    group: 'Storage',
    summary: 'the newest of the logs that is kept in memory, of all groups of the node together',
    default: '64MiB',
  },
  'segment-bytes': {
    argument: 'SIZE',
    group: 'Storage',
    summary: 'size of one segment of the log',
    default: '64MiB, at most 1/8 of the cache',
  },
  'min-free-space': {
    argument: 'SIZE',
    group: 'Storage',
    summary: 'with less than this on the disk, no new events are taken',
    default: 'two segments',
  },
  'max-event-bytes': {
    argument: 'SIZE',
    group: 'Storage',
    summary: 'largest data of one event; the same on every node',
    default: '1MiB',
  },
  'max-events': {
    argument: 'N',
    group: 'Storage',
    summary: 'how many events a new cluster keeps (all, unless said); `flotilla stream set` changes it later',
  },
  'max-bytes': { argument: 'SIZE', group: 'Storage', summary: 'how much of the log it keeps; likewise' },
  'max-age': { argument: 'DURATION', group: 'Storage', summary: 'how long it keeps events; likewise' },
  log: {
    short: 'L',
    argument: 'LEVEL|MODULE=LEVEL',
    repeatable: true,
    group: 'Logs',
    summary:
      'debug, info, warn, error or silent, for all modules or one of node, raft, storage, peer, api, http, formation; repeatable',
    default: 'info',
  },
  'log-dest': {
    short: 'o',
    argument: 'FILE',
    group: 'Logs',
    summary: 'append JSON lines to a file; SIGHUP opens it anew',
    default: 'stdout',
  },
  config: { argument: 'FILE', group: 'Settings', summary: 'YAML with the long names of these options as keys' },
} as const satisfies Readonly<Record<string, ServerOption>>;

export type OptionName = keyof typeof SERVER_OPTIONS;

export function isOptionName(value: string): value is OptionName {
  return Object.hasOwn(SERVER_OPTIONS, value);
}

export const OPTION_NAMES: readonly OptionName[] = Object.keys(SERVER_OPTIONS).filter(isOptionName);

/** The same table with its rows' common type, for whoever goes through it. */
export function optionOf(name: OptionName): ServerOption {
  return SERVER_OPTIONS[name];
}

export const ENVIRONMENT_PREFIX = 'FLOTILLA_SERVER_';

export function environmentName(option: OptionName): string {
  return `${ENVIRONMENT_PREFIX}${option.toUpperCase().replaceAll('-', '_')}`;
}
