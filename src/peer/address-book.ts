import type { Member } from '../base/index.js';

/** So many addresses of one node that others have told of are kept at once. */
const HEARSAY_MAX = 4;

interface Entry {
  /** The address by the cluster's state. */
  known: string;
  /** The address by the node's own word, since this process has started. */
  heard: string | undefined;
  /** The addresses that other nodes have told of, the latest last. */
  hearsay: string[];
}

/**
 * The addresses at which other nodes may be dialled. A node is its actor and instance; an address
 * is only a way to it, and may lead to another node or to none by now. So all
 * that are known of are tried in turn, and the hello says which node is meant.
 */
export class AddressBook {
  private readonly entries = new Map<string, Entry>();

  /** The cluster's state says that `member` is there. */
  know({ instance, address }: Member): void {
    const entry = this.entries.get(instance);
    if (entry === undefined) this.entries.set(instance, { known: address, heard: undefined, hearsay: [] });
    else entry.known = address;
  }

  /** A node has said where it is itself. True where that is news. */
  hear({ instance, address }: Member): boolean {
    const entry = this.entries.get(instance);
    if (entry === undefined || (entry.heard ?? entry.known) === address) return false;
    entry.heard = address;
    return true;
  }

  /** Another node says that `member` is there. True where that is news. */
  hearOf({ instance, address }: Member): boolean {
    const entry = this.entries.get(instance);
    if (entry === undefined || this.addressesOf(instance).includes(address)) return false;
    entry.hearsay = [...entry.hearsay, address].slice(-HEARSAY_MAX);
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
    const { heard, known, hearsay } = entry;
    return [...new Set([...(heard === undefined ? [] : [heard]), known, ...hearsay.toReversed()])];
  }
}
