import type { Member } from '../wire/index.js';

/** Addresses of one node that others have told of and are kept at once. */
const RUMOURS = 4;

interface Entry {
  /** By the membership. */
  known: string;
  /** By the node itself, since this process has started. */
  heard: string | undefined;
  /** By other nodes, the latest last. */
  rumours: string[];
}

/**
 * Where other nodes may be dialled. A node is its actor and instance; an address
 * is only a way to it, and may lead to another node or to none by now. So all
 * that are known of are tried in turn, and the hello says who is meant.
 */
export class AddressBook {
  private readonly entries = new Map<string, Entry>();

  /** Where the membership says that `member` is. */
  know({ instance, address }: Member): void {
    const entry = this.entries.get(instance);
    if (entry === undefined) this.entries.set(instance, { known: address, heard: undefined, rumours: [] });
    else entry.known = address;
  }

  /** A node has said where it is itself. True where that is news. */
  hear({ instance, address }: Member): boolean {
    const entry = this.entries.get(instance);
    if (entry === undefined || (entry.heard ?? entry.known) === address) return false;
    entry.heard = address;
    return true;
  }

  /** Somebody says that `member` is there. True where that is news. */
  hearOf({ instance, address }: Member): boolean {
    const entry = this.entries.get(instance);
    if (entry === undefined || this.addressesOf(instance).includes(address)) return false;
    entry.rumours = [...entry.rumours, address].slice(-RUMOURS);
    return true;
  }

  /** Keeps only these nodes. */
  retain(instances: ReadonlySet<string>): void {
    for (const instance of this.entries.keys()) if (!instances.has(instance)) this.entries.delete(instance);
  }

  /** The likeliest first; none of a node that is not in the book. */
  addressesOf(instance: string): string[] {
    const entry = this.entries.get(instance);
    if (entry === undefined) return [];
    const { heard, known, rumours } = entry;
    return [...new Set([...(heard === undefined ? [] : [heard]), known, ...rumours.toReversed()])];
  }
}
