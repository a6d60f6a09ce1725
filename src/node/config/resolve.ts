import { resolve } from 'node:path';
import { z } from 'zod';
import { actorId, LIMITS } from '../../base/index.js';
import { plainSettings } from '../../machine/index.js';
import { type Address, formatAddress, isLoopback, isWildcard, parseAddress } from './addresses.js';
import type { ConfigInput, Resolution, ServerConfig } from './index.js';
import { OPTION_NAMES, type OptionName } from './options.js';
import { type Settings, settingsOfEnvironment, settingsOfFile, settingsOfFlags, strayVariables, type Written } from './sources.js';
import { actor, address, addresses, count, duration, flag, host, logLevels, portOrZero, size, text } from './values.js';

const PORT_MAX = 65535;
const HTTP_PORT_OFFSET = 1000;
/** A leader must be able to miss a heartbeat without losing its followers. */
const HEARTBEATS_PER_ELECTION_TIMEOUT = 2;

const SCHEMA = z.object({
  port: portOrZero.default(3000),
  host: host.default('127.0.0.1'),
  advertise: address.optional(),
  'http-port': portOrZero.optional(),
  insecure: flag.default(false),
  'actor-id': actor.optional(),
  'peer-addr': addresses.default([]),
  'election-timeout': duration(LIMITS.electionTimeoutMsMin, LIMITS.electionTimeoutMsMax).default(LIMITS.electionTimeoutMs),
  'heartbeat-interval': duration(LIMITS.heartbeatIntervalMsMin, LIMITS.electionTimeoutMsMax).default(LIMITS.heartbeatIntervalMs),
  'data-dir': text.default('.flotilla'),
  'max-cache-memory': size(LIMITS.cacheBytesMin, LIMITS.cacheBytesMax).default(LIMITS.cacheBytes),
  'segment-bytes': size(LIMITS.segmentBytesMin, LIMITS.segmentBytesMax).default(LIMITS.segmentBytes),
  'min-free-space': size(LIMITS.minFreeBytesMin, LIMITS.minFreeBytesMax).optional(),
  'max-event-bytes': size(1, LIMITS.eventDataBytesMax).default(LIMITS.eventDataBytes),
  'max-events': count(1, Number.MAX_SAFE_INTEGER).optional(),
  'max-bytes': size(1, Number.MAX_SAFE_INTEGER).optional(),
  'max-age': duration(1, Number.MAX_SAFE_INTEGER).optional(),
  log: logLevels.default({ default: 'info', modules: {} }),
  'log-dest': text.optional(),
  config: z.unknown().optional(),
} satisfies Record<OptionName, z.ZodType>);

type Values = z.output<typeof SCHEMA>;

/** The work behind resolveConfig. */
export function resolveSettings({ flags, env, readFile }: ConfigInput): Resolution {
  const said = new Map([...settingsOfEnvironment(env), ...settingsOfFlags(flags)]);
  const path = said.get('config')?.value;
  const file = typeof path === 'string' ? settingsOfFile(path, readFile) : undefined;
  const settings: Settings = new Map([...(file?.settings ?? []), ...said]);
  const problems = [...(file?.problems ?? [])];

  const parsed = SCHEMA.safeParse(Object.fromEntries([...settings].map(([name, { value }]) => [name, value])));
  if (!parsed.success) problems.push(...parsed.error.issues.map((issue) => describe(issue, settings)));
  // What depends on several settings is only looked at where each of them makes sense.
  if (!parsed.success || problems.length > 0) return { problems };
  const conflicts = conflictsOf(parsed.data, settings);
  if (conflicts.length > 0) return { problems: conflicts };
  return { config: configOf(parsed.data, env) };
}

function describe(issue: z.core.$ZodIssue, settings: Settings): string {
  const name = OPTION_NAMES.find((option) => option === issue.path[0]);
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
    problems.push(`${source('advertise')}: others can't dial ${values.advertise.host}; name an address of this machine`);
  }
  problems.push(...portConflicts(values, source), ...timeConflicts(values, source));
  return problems;
}

function portConflicts(values: Values, source: (name: OptionName) => string): string[] {
  const { port, 'http-port': httpPort } = values;
  if (httpPort === undefined && port + HTTP_PORT_OFFSET > PORT_MAX) {
    return [`${source('port')}: ${port} + ${HTTP_PORT_OFFSET} is no port for HTTP; add --http-port PORT, or --http-port 0 to do without`];
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
    dataDirectory: resolve(values['data-dir']),
    cacheBytes: values['max-cache-memory'],
    segmentBytes: values['segment-bytes'],
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
  return [`${remote} may be another machine, which can't reach this node at ${formatAddress(advertise)}; see --host and --advertise`];
}
