import { isIP, isIPv4, isIPv6 } from 'node:net';

const PORT_MAX = 65535;

/** A host, IPv6 without brackets, and a port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** HOST:PORT, IPv6 in brackets: as it is told to others, and dialled. */
export function formatAddress({ host, port }: Address): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Reads HOST:PORT; throws an Error that says what is wrong. */
export function parseAddress(text: string): Address {
  const colon = text.endsWith(']') ? -1 : text.lastIndexOf(':');
  if (colon < 0)
    throw new Error(
      `${JSON.stringify(text)} has no port; write HOST:PORT, for instance ${text === '' ? 'node2' : text}:3000`,
    );
  const host = text.slice(0, colon);
  if (host.includes(':') && !host.startsWith('['))
    throw new Error(`${JSON.stringify(text)}: write an IPv6 address in brackets, for instance [::1]:3000`);
  return { host: parseHost(host), port: parsePort(text.slice(colon + 1)) };
}

/** Reads a host name or an address, IPv6 with brackets or without; throws an Error that says what is wrong. */
export function parseHost(text: string): string {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (bare === '') throw new Error('the host is missing');
  if (bare !== text && !isIPv6(bare)) throw new Error(`${JSON.stringify(text)} is no IPv6 address`);
  if (isIP(bare) !== 0) return bare;
  if (!/^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?$/.test(bare))
    throw new Error(`${JSON.stringify(text)} is no host name or address`);
  // Four numbers with dots that are no address, such as 127.0.0.256, would be looked up as a name.
  if (/^[0-9.]+$/.test(bare)) throw new Error(`${JSON.stringify(text)} is no IPv4 address`);
  return bare;
}

/** Reads a port, 1 to 65535, or from `min`; throws an Error that says what is wrong. */
export function parsePort(text: string, min = 1): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port >= min && port <= PORT_MAX))
    throw new Error(`${JSON.stringify(text)} is no port; it must be a number from ${min} to ${PORT_MAX}`);
  return port;
}

/** Only processes of this machine reach it. */
export function isLoopback(host: string): boolean {
  return host.toLowerCase() === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** Stands for every address of this machine, and so for none that another could dial. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || (isIPv6(host) && /^[0:]+$/.test(host));
}
