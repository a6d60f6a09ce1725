import type { ActorId } from '../../base/index.js';
import type { StreamSettings } from '../../machine/stream/index.js';
import type { LogDestination, LogLevels } from '../../telemetry/index.js';
import type { Address } from './addresses.js';
import type { Environment, Flags } from './sources.js';

/** Every setting of a node, checked and complete. */
export interface ServerConfig {
  readonly actor: ActorId;
  /** Address to bind, IPv6 without brackets. */
  readonly host: string;
  /** gRPC; 0: any free one. */
  readonly port: number;
  /** What others are told; port 0: the one that gets bound. */
  readonly advertise: Address;
  /** Bound on the same host; undefined: no HTTP. */
  readonly httpPort: number | undefined;
  readonly insecure: boolean;
  /** HOST:PORT, distinct; this node's own address may be among them. */
  readonly peerAddresses: readonly string[];
  readonly electionTimeoutMs: number;
  /** At most half of the election time-out. */
  readonly heartbeatIntervalMs: number;
  /** A node whose main thread has stood still for so long ends its process; undefined: none is watched. */
  readonly watchdogTimeoutMs: number | undefined;
  /** Absolute path of what holds the `node-<actor id>` folders. */
  readonly dataDirectory: string;
  readonly cacheBytes: number;
  readonly segmentBytes: number;
  /** With less than this on the disk no new events are taken; undefined: what two segments take. */
  readonly minFreeBytes: number | undefined;
  /** How much of `default` is kept, where this node is the first to lead it. */
  readonly retention: StreamSettings;
  /** Largest data of one event. */
  readonly eventDataBytes: number;
  readonly logLevels: LogLevels;
  readonly logDestination: LogDestination;
  /** What is probably a mistake and stops nothing: sentences for the log. */
  readonly warnings: readonly string[];
}

export interface ConfigInput {
  readonly flags: Flags;
  readonly env: Environment;
  /** Text of the file; throws where it can't be read. */
  readonly readFile: (path: string) => string;
}

/** A configuration, or everything that is wrong: each names the option, where it was given and what to do. */
export type Resolution = { readonly config: ServerConfig } | { readonly problems: readonly string[] };
