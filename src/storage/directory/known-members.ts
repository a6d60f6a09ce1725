import { join } from 'node:path';
import { FlotillaError, LIMITS, type Member, type Voucher } from '../../base/index.js';
import { type Disk, readCheckedFile, replaceCheckedFile } from '../disk/index.js';

const FORMAT = 1;

/** A start of a node, by its number and a random id. */
interface Boot {
  readonly bootCounter: number;
  readonly bootId: string;
}

/** A member as a node remembers it beside its log, with its latest start that was seen: 0 before the first. */
export interface KnownMember extends Member, Boot {}

/** A node's cluster and its own seat in it, as they were last noted. */
export interface KnownCluster {
  readonly clusterId: string;
  /** With a copy of the directory's key: see `NodeKey`. */
  readonly self: Member & { readonly secret: string };
  /** The other members. */
  readonly others: readonly KnownMember[];
  /** By these it is known to members that lag behind. */
  readonly vouchers: readonly Voucher[];
}

interface Content extends KnownCluster {
  readonly format: typeof FORMAT;
}

/**
 * What a node remembers of its cluster outside of its log, in the checked file
 * `known-members`. It serves two ends. A start of another member that was seen
 * is noted before anything that it says counts, so that a member whose disk was
 * rolled back since is recognised, also after this node was restarted. And a
 * node whose log or identity is damaged reads here whom to ask to be taken in
 * again.
 *
 * Losing the file loses no more than this: it is made anew from the log and
 * from the next hellos.
 */
export class KnownMembers {
  private readonly disk: Disk;
  private readonly path: string;
  private content: KnownCluster | undefined;
  /** Starts that were seen of nodes that are no members, or not yet. */
  private readonly guests = new Map<string, Boot>();
  private written: KnownCluster | undefined;
  private writing: Promise<void> | undefined;

  private constructor(disk: Disk, path: string, content: KnownCluster | undefined) {
    this.disk = disk;
    this.path = path;
    this.content = content;
    this.written = content;
  }

  static async open(disk: Disk, nodePath: string): Promise<KnownMembers> {
    return new KnownMembers(disk, pathOf(nodePath), await readIfSound(disk, nodePath));
  }

  /** Undefined before the node was part of a cluster, and where the file was lost. */
  get cluster(): KnownCluster | undefined {
    return this.content;
  }

  /**
   * Who the members are, as far as this node knows. Durable when it resolves; what was seen of the starts of members
   * that stay is kept.
   */
  async follow(
    clusterId: string,
    self: KnownCluster['self'],
    { members, vouchers }: { readonly members: readonly Member[]; readonly vouchers: readonly Voucher[] },
  ): Promise<void> {
    const others = members
      .filter(({ actor }) => actor !== self.actor)
      .map(({ actor, instance, address }) => {
        const { bootCounter = 0, bootId = '' } = this.lastBoot(instance) ?? {};
        return { actor, instance, address, bootCounter, bootId };
      });
    for (const { instance } of others) this.guests.delete(instance);
    await this.change({ clusterId, self, others, vouchers });
  }

  /** The latest start that was seen of this instance. */
  lastBoot(instance: string): Boot | undefined {
    return this.content?.others.find((known) => known.instance === instance) ?? this.guests.get(instance);
  }

  /** Durable when it resolves; of who is no member yet, from the time on at which it is one. */
  async saw(instance: string, boot: Boot): Promise<void> {
    const { content } = this;
    if (content === undefined || !content.others.some((known) => known.instance === instance)) {
      if (this.guests.size < LIMITS.peerAddresses) this.guests.set(instance, boot);
      return;
    }
    const others = content.others.map((known) => (known.instance === instance ? { ...known, ...boot } : known));
    await this.change({ ...content, others });
  }

  private async change(content: KnownCluster): Promise<void> {
    if (JSON.stringify(content) !== JSON.stringify(this.content)) this.content = content;
    while (this.written !== this.content) {
      this.writing ??= this.write();
      await this.writing;
    }
  }

  private async write(): Promise<void> {
    const { content } = this;
    try {
      if (content !== undefined) await replaceCheckedFile(this.disk, this.path, { format: FORMAT, ...content });
      this.written = content;
    } finally {
      this.writing = undefined;
    }
  }
}

/** Undefined where there are none. Throws DATA_LOSS where the file is damaged. */
export async function readKnownMembers(disk: Disk, nodePath: string): Promise<KnownCluster | undefined> {
  const content = await readCheckedFile<Content>(disk, pathOf(nodePath), FORMAT);
  if (content === undefined) return undefined;
  const { clusterId, self, others, vouchers } = content;
  return { clusterId, self, others, vouchers };
}

async function readIfSound(disk: Disk, nodePath: string): Promise<KnownCluster | undefined> {
  try {
    return await readKnownMembers(disk, nodePath);
  } catch (error) {
    if (error instanceof FlotillaError && error.code === 'DATA_LOSS') return undefined;
    throw error;
  }
}

function pathOf(nodePath: string): string {
  return join(nodePath, 'known-members');
}
