import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { LinkProxy } from './link-proxy.js';

/** Where a node listens, and by which name it goes. */
interface Place {
  readonly actor: number;
  readonly port: number;
}

/** What a node's process is started with, so that it dials the others through the proxies. */
export interface Dialling {
  readonly nodeArguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

const DIAL_THROUGH = fileURLToPath(new URL('dial-through.cjs', import.meta.url));

/**
 * A proxy between each node and each other, by who dials. A node talks on the
 * connections that it has dialled itself and only there, so the proxy from A to
 * B holds all that A tells B, and nothing that B tells A. Clients are not
 * concerned. What holds up the test's process holds up its network.
 */
export class Network {
  private readonly places: readonly Place[];
  private readonly proxies: ReadonlyMap<string, LinkProxy>;

  private constructor(places: readonly Place[], proxies: ReadonlyMap<string, LinkProxy>) {
    this.places = places;
    this.proxies = proxies;
  }

  static async between(places: readonly Place[]): Promise<Network> {
    const proxies = new Map<string, LinkProxy>();
    for (const from of places)
      for (const to of places) if (from !== to) proxies.set(name(from.actor, to.actor), await LinkProxy.to(to.port));
    return new Network(places, proxies);
  }

  /** The connections that `from` dials to `to`. */
  link(from: number, to: number): LinkProxy {
    const proxy = this.proxies.get(name(from, to));
    assert.ok(proxy !== undefined, `there is no link from ${from} to ${to}`);
    return proxy;
  }

  get links(): LinkProxy[] {
    return [...this.proxies.values()];
  }

  /** Nothing that `actor` says reaches anybody; it goes on hearing them. */
  silence(actor: number): void {
    for (const other of this.othersThan(actor)) this.link(actor, other).cut();
  }

  /** Nothing that is said to `actor` reaches it; it goes on being heard. */
  deafen(actor: number): void {
    for (const other of this.othersThan(actor)) this.link(other, actor).cut();
  }

  isolate(actor: number): void {
    this.silence(actor);
    this.deafen(actor);
  }

  heal(): void {
    for (const link of this.links) link.heal();
  }

  dialling(actor: number): Dialling {
    const through = this.places
      .filter((place) => place.actor !== actor)
      .map((to) => [to.port, this.link(actor, to.actor).port]);
    return {
      nodeArguments: ['--require', DIAL_THROUGH],
      environment: { DIAL_THROUGH: JSON.stringify(Object.fromEntries(through)) },
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.links.map((link) => link.close()));
  }

  private othersThan(actor: number): number[] {
    return this.places.map((place) => place.actor).filter((other) => other !== actor);
  }
}

function name(from: number, to: number): string {
  return `${from} to ${to}`;
}
