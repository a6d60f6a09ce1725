import { FlotillaError, LIMITS } from '../../base/index.js';

/** The port of a host that names none. */
export const DEFAULT_PORT = 3000;

/**
 * The nodes that a client knows: those it was given, in that order, then the
 * members that these told of. One address is preferred at any time; `failed`
 * moves on to the next.
 */
export class Hosts {
  private readonly addresses: string[];
  private current = 0;

  constructor(hosts: string | readonly string[]) {
    const list = typeof hosts === 'string' ? hosts.split(',') : hosts;
    this.addresses = [...new Set(list.map((host) => parseHost(host)))];
    if (this.addresses.length === 0)
      throw new FlotillaError('INVALID_ARGUMENT', 'hosts: no host is given; name one as HOST[:PORT]');
    if (this.addresses.length > LIMITS.clientHosts) {
      throw new FlotillaError(
        'INVALID_ARGUMENT',
        `hosts: ${this.addresses.length} hosts are more than ${LIMITS.clientHosts}`,
      );
    }
  }

  get preferred(): string {
    return this.addresses[this.current] ?? '';
  }

  get all(): readonly string[] {
    return this.addresses;
  }

  /** Adds a member that a node told of. What can't be an address, or is one too many, is left out. */
  learn(address: string): void {
    if (this.addresses.includes(address) || this.addresses.length >= LIMITS.clientHosts) return;
    if (address === '' || address.endsWith(':0')) return;
    this.addresses.push(address);
  }

  /** Makes `address` the one to try first; learns it where it is new. */
  prefer(address: string): void {
    this.learn(address);
    const position = this.addresses.indexOf(address);
    if (position >= 0) this.current = position;
  }

  /** Goes on to the next address, unless another call has already left `address`. */
  failed(address: string): void {
    if (this.preferred === address) this.current = (this.current + 1) % this.addresses.length;
  }

  /** The address after `address` in the round, for a reader that keeps its own place. */
  after(address: string): string {
    return this.addresses[(this.addresses.indexOf(address) + 1) % this.addresses.length] ?? this.preferred;
  }
}

/**
 * `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT` as HOST:PORT. Throws
 * INVALID_ARGUMENT, which names what is wrong.
 */
export function parseHost(text: string, defaultPort: number = DEFAULT_PORT): string {
  const refused = (why: string): FlotillaError =>
    new FlotillaError('INVALID_ARGUMENT', `host ${JSON.stringify(text)}: ${why}; write HOST or HOST:PORT`);
  const trimmed = text.trim();
  if (trimmed === '') throw refused('it is empty');
  const bracket = trimmed.startsWith('[') ? trimmed.indexOf(']') : -1;
  if (trimmed.startsWith('[') && bracket < 0) throw refused('"[" has no "]"');
  const colon = trimmed.indexOf(':', bracket + 1);
  const host = colon < 0 ? trimmed : trimmed.slice(0, colon);
  const port = colon < 0 ? String(defaultPort) : trimmed.slice(colon + 1);
  if (port.includes(':')) throw refused('an IPv6 address needs brackets');
  if (host === '' || host === '[]') throw refused('the host is missing');
  if (!/^[0-9]{1,5}$/.test(port) || Number(port) < 1 || Number(port) > 65535)
    throw refused('the port is not a number from 1 to 65535');
  if (!/^(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)$/.test(host))
    throw refused('the host has characters that no host name has');
  return `${host}:${Number(port)}`;
}
