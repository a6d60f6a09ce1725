import { resolve } from 'node:path';
import * as v from 'valibot';
import { actorId, defaultSegmentBytes, LIMITS } from '../../base/index.js';
import { plainSettings } from '../../machine/stream/index.js';
import { type Address, formatAddress, isLoopback, isWildcard, parseAddress } from './addresses.js';
import { OPTION_NAMES, type OptionName } from './options.js';
import type { ConfigInput, Resolution, ServerConfig } from './server-config.js';
import { type Settings, settingsOfEnvironment, settingsOfFlags, strayVariables, type Written } from './sources.js';
import {
  actor,
  address,
  addresses,
  count,
  duration,
  durationOrZero,
  flag,
  host,
  logLevels,
  portOrZero,
  size,
  text,
} from './values.js';

const PORT_MAX = 65535;
const HTTP_PORT_OFFSET = 1000;
/** A leader must be able to miss a heartbeat without losing its followers. */
const HEARTBEATS_PER_ELECTION_TIMEOUT = 2;

/** What stands for a setting that was not written is written like one. */
const SCHEMA = v.object({
  port: v.optional(portOrZero, 3000),
  host: v.optional(host, '127.0.0.1'),
  advertise: v.optional(address),
  'http-port': v.optional(portOrZero),
  insecure: v.optional(flag, false),
  'actor-id': v.optional(actor),
  'peer-addr': v.optional(addresses, () => []),
  'election-timeout': v.optional(
    duration(LIMITS.electionTimeoutMsMin, LIMITS.electionTimeoutMsMax),
    `${LIMITS.electionTimeoutMs}ms`,
  ),
  'heartbeat-interval': v.optional(
    duration(LIMITS.heartbeatIntervalMsMin, LIMITS.electionTimeoutMsMax),
    `${LIMITS.heartbeatIntervalMs}ms`,
  ),
  'watchdog-timeout': v.optional(
    durationOrZero(LIMITS.watchdogTimeoutMsMin, LIMITS.watchdogTimeoutMsMax),
    `${LIMITS.watchdogTimeoutMs}ms`,
  ),
  'data-dir': v.optional(text, '.flotilla'),
  'max-cache-memory': v.optional(size(LIMITS.cacheBytesMin, LIMITS.cacheBytesMax), LIMITS.cacheBytes),
  'segment-bytes': v.optional(size(LIMITS.segmentBytesMin, LIMITS.segmentBytesMax)),
  'min-free-space': v.optional(size(LIMITS.minFreeBytesMin, LIMITS.minFreeBytesMax)),
  'max-event-bytes': v.optional(size(1, LIMITS.eventDataBytesMax), LIMITS.eventDataBytes),
  'max-events': v.optional(count(1, Number.MAX_SAFE_INTEGER)),
  'max-bytes': v.optional(size(1, Number.MAX_SAFE_INTEGER)),
  'max-age': v.optional(duration(1, Number.MAX_SAFE_INTEGER)),
  log: v.optional(logLevels, 'info'),
  'log-dest': v.optional(text),
  config: v.optional(v.unknown()),
} satisfies Record<OptionName, v.GenericSchema>);

type Values = v.InferOutput<typeof SCHEMA>;

/** The work behind resolveConfig. */
export async function resolveSettings({ flags, env, readFile }: ConfigInput): Promise<Resolution> {
  const said = new Map([...settingsOfEnvironment(env), ...settingsOfFlags(flags)]);
  const path = said.get('config')?.value;
  // Few nodes have a file, and what reads one takes memory.
  const file = typeof path === 'string' ? (await import('./config-file.js')).settingsOfFile(path, readFile) : undefined;
  const settings: Settings = new Map([...(file?.settings ?? []), ...said]);
  const problems = [...(file?.problems ?? [])];

  const parsed = v.safeParse(SCHEMA, Object.fromEntries([...settings].map(([name, { value }]) => [name, value])));
  if (!parsed.success) problems.push(...parsed.issues.map((issue) => describe(issue, settings)));
  // What depends on several settings is only looked at where each of them makes sense.
  if (!parsed.success || problems.length > 0) return { problems };
  const conflicts = conflictsOf(parsed.output, settings);
  if (conflicts.length > 0) return { problems: conflicts };
  return { config: configOf(parsed.output, env) };
}

function describe(issue: v.BaseIssue<unknown>, settings: Settings): string {
  const name = OPTION_NAMES.find((option) => option === issue.path?.[0].key);
  const written = name === undefined ? undefined : settings.get(name);
  return `${sourceOf(written, name)}: ${issue.message}${hintFor(written)}`;
}

/** Kubernetes sets such variables for every service; this one by chance bears the name of ours. */
function hintFor(written: Written | undefined): string {
  return typeof written?.value === 'string' && written.value.startsWith('tcp://')
    ? '; Kubernetes sets this for a service named flotilla-server: give it another name, or set enableServiceLinks: false'
    : '';
}

function sourceOf(written: Written | undefined, name: OptionName | undefined): string {
  return written?.source ?? `--${name ?? 'config'}`;
}

/** What is wrong with settings that are each right by themselves. */
function conflictsOf(values: Values, settings: Settings): string[] {
  const source = (name: OptionName): string => sourceOf(settings.get(name), name);
  const problems: string[] = [];
  if (values['peer-addr'].length > 0 && values['actor-id'] === undefined) {
    problems.push(
      `${source('peer-addr')}: a node with peers needs an actor id of its own; add --actor-id, 1 to ${LIMITS.actorIdMax}, unique in the cluster`,
    );
  }
  if (!isLoopback(values.host) && !values.insecure) {
    problems.push(
      `${source('host')}: ${values.host} can be reached from other machines, and nothing is encrypted or authenticated yet; ` +
        'leave --host at 127.0.0.1, or add --insecure where everybody on that network may read and write',
    );
  }
  if (values.advertise === undefined && isWildcard(values.host)) {
    problems.push(
      `${source('host')}: others can't be told ${values.host}; add --advertise HOST:PORT, an address of this machine that they can dial`,
    );
  }
  if (values.advertise !== undefined && isWildcard(values.advertise.host)) {
    problems.push(
      `${source('advertise')}: others can't dial ${values.advertise.host}; name an address of this machine`,
    );
  }
  problems.push(...portConflicts(values, source), ...timeConflicts(values, source));
  return problems;
}

function portConflicts(values: Values, source: (name: OptionName) => string): string[] {
  const { port, 'http-port': httpPort } = values;
  if (httpPort === undefined && port + HTTP_PORT_OFFSET > PORT_MAX) {
    return [
      `${source('port')}: ${port} + ${HTTP_PORT_OFFSET} is no port for HTTP; add --http-port PORT, or --http-port 0 to do without`,
    ];
  }
  if (httpPort !== undefined && httpPort !== 0 && httpPort === port) {
    return [`${source('http-port')}: ${httpPort} is the gRPC port already; choose another`];
  }
  return [];
}

function timeConflicts(values: Values, source: (name: OptionName) => string): string[] {
  const { 'election-timeout': electionMs, 'heartbeat-interval': heartbeatMs } = values;
  if (electionMs >= HEARTBEATS_PER_ELECTION_TIMEOUT * heartbeatMs) return [];
  return [
    `${source('election-timeout')}: ${electionMs}ms must be at least ${HEARTBEATS_PER_ELECTION_TIMEOUT} heartbeat intervals, ` +
      `and ${source('heartbeat-interval')} is ${heartbeatMs}ms; raise the one or lower the other`,
  ];
}

function configOf(values: Values, env: ConfigInput['env']): ServerConfig {
  const { port, host: boundHost } = values;
  const advertise = values.advertise ?? { host: boundHost, port };
  const logFile = values['log-dest'];
  return {
    actor: values['actor-id'] ?? actorId(1),
    host: boundHost,
    port,
    advertise,
    httpPort: httpPortOf(values),
    insecure: values.insecure,
    peerAddresses: values['peer-addr'],
    electionTimeoutMs: values['election-timeout'],
    heartbeatIntervalMs: values['heartbeat-interval'],
    watchdogTimeoutMs: values['watchdog-timeout'] === 0 ? undefined : values['watchdog-timeout'],
    dataDirectory: resolve(values['data-dir']),
    cacheBytes: values['max-cache-memory'],
    segmentBytes: values['segment-bytes'] ?? defaultSegmentBytes(values['max-cache-memory']),
    minFreeBytes: values['min-free-space'],
    eventDataBytes: values['max-event-bytes'],
    retention: plainSettings({
      ...(values['max-events'] === undefined ? {} : { maxEvents: values['max-events'] }),
      ...(values['max-bytes'] === undefined ? {} : { maxBytes: values['max-bytes'] }),
      ...(values['max-age'] === undefined ? {} : { maxAgeMs: values['max-age'] }),
    }),
    logLevels: values.log,
    logDestination: logFile === undefined ? { kind: 'stdout' } : { kind: 'file', path: resolve(logFile) },
    warnings: [
      ...strayVariables(env).map((name) => `${name} is no setting and has no effect`),
      ...reachWarnings(advertise, values['peer-addr']),
    ],
  };
}

/** With any free gRPC port there is no HTTP port to derive, and none is opened. */
function httpPortOf({ port, 'http-port': httpPort }: Values): number | undefined {
  const resolved = httpPort ?? (port === 0 ? 0 : port + HTTP_PORT_OFFSET);
  return resolved === 0 ? undefined : resolved;
}

function reachWarnings(advertise: Address, peers: readonly string[]): string[] {
  const remote = peers.find((peer) => !isLoopback(parseAddress(peer).host));
  if (remote === undefined || !isLoopback(advertise.host)) return [];
  return [
    `${remote} may be another machine, which can't reach this node at ${formatAddress(advertise)}; see --host and --advertise`,
  ];
}
