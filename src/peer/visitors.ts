import { type ActorId, FlotillaError } from '../base/index.js';
import type { CallContext } from '../rpc/index.js';
import type { Member, VersionRange } from '../wire/index.js';
import { type Boot, checkHello, type Hello, readHello } from './hello.js';

/** A stream that a peer has opened here. */
export class Visit {
  readonly from: ActorId;
  /** Who it says it is. */
  readonly visitor: Hello;
  private readonly interrupted: Promise<never>;
  private interrupt: (error: unknown) => void = () => undefined;
  private over = false;

  constructor(visitor: Hello) {
    this.from = visitor.actor;
    this.visitor = visitor;
    this.interrupted = new Promise((_resolve, reject) => {
      this.interrupt = reject;
    });
    // Whoever ends a visit before it is waited for must not end the process.
    this.interrupted.catch(() => undefined);
  }

  /** False from the moment on at which nothing that comes by this stream counts any more. */
  get current(): boolean {
    return !this.over;
  }

  /** Waits for the stream's end, or for {@link end}. */
  async lasting(received: Promise<void>): Promise<void> {
    try {
      await Promise.race([received, this.interrupted]);
    } finally {
      this.over = true;
    }
  }

  /** Ends the stream with `error`. */
  end(error: unknown): void {
    this.over = true;
    this.interrupt(error);
  }
}

/** Knows durably which starts of other nodes were seen. */
export interface BootMemory {
  /** The latest; undefined before the first. */
  lastBoot(instance: string): Boot | undefined;
  /** Durable when it resolves. */
  saw(instance: string, boot: Boot): Promise<void>;
}

/** Lets peers in, each stream of a peer once: a newer one takes the place of the older. */
export class Visitors {
  private readonly clusterId: string;
  private readonly self: Member;
  private readonly versions: () => VersionRange;
  private readonly memory: BootMemory;
  private readonly visits = new Map<string, Visit>();
  private members = new Map<ActorId, Member>();
  /** Instances that were members once. */
  private readonly former: Set<string>;

  constructor(options: {
    clusterId: string;
    self: Member;
    versions: () => VersionRange;
    former: Iterable<string>;
    memory: BootMemory;
  }) {
    this.versions = options.versions;
    this.former = new Set(options.former);
    this.clusterId = options.clusterId;
    this.self = options.self;
    this.memory = options.memory;
  }

  setMembers(members: readonly Member[]): void {
    for (const { instance } of this.members.values()) this.former.add(instance);
    for (const { instance } of members) this.former.delete(instance);
    this.members = new Map(members.map((member) => [member.actor, member]));
    for (const visit of this.visits.values()) {
      if (this.isFormer(visit.visitor)) visit.end(new FlotillaError('FOREIGN_NODE', `actor ${visit.from} is no longer a member`));
    }
  }

  isFormer({ instance }: Member): boolean {
    return this.former.has(instance);
  }

  /** Ends the visits of those who are too old for the version that is active now. */
  endOutdated(): void {
    const ours = this.versions();
    for (const visit of this.visits.values()) {
      if (visit.visitor.versions.highest < ours.lowest)
        visit.end(new FlotillaError('UPGRADE_NEEDED', `version ${ours.lowest} is active now`));
    }
  }

  /**
   * Throws FOREIGN_NODE, ROLLED_BACK or UPGRADE_NEEDED where the caller is not a
   * member as it was last seen or later. A start that was not seen before is
   * noted durably before the caller is let in: whatever it promises from then on,
   * it will be known to have promised.
   */
  async admit(call: CallContext, method: string): Promise<Visit> {
    const hello = await this.recognise(call);
    const key = `${hello.actor}/${hello.link}/${method}`;
    this.visits.get(key)?.end(new FlotillaError('CANCELLED', 'the same node has opened a newer stream'));
    const visit = new Visit(hello);
    this.visits.set(key, visit);
    return visit;
  }

  /** As {@link admit}, for a call that is no lasting stream. */
  async recognise(call: CallContext): Promise<Hello> {
    const hello = readHello(call);
    this.check(hello);
    const { instance, bootCounter, boots } = hello;
    await this.memory.saw(instance, { bootCounter, bootId: boots.at(-1) ?? '' });
    // Who the members are may have changed, or a later start have called meanwhile.
    this.check(hello);
    return hello;
  }

  private check(hello: Hello): void {
    const lastBoot = this.memory.lastBoot(hello.instance);
    checkHello(hello, {
      clusterId: this.clusterId,
      self: this.self,
      member: this.members.get(hello.actor),
      former: this.former.has(hello.instance),
      lastBoot: lastBoot?.bootCounter === 0 ? undefined : lastBoot,
      versions: this.versions(),
    });
  }

  /** Those whose visit lasts, each once, as they were last started. */
  callers(): Hello[] {
    const visitors = [...this.visits.values()].filter(({ current }) => current).map(({ visitor }) => visitor);
    visitors.sort((a, b) => a.bootCounter - b.bootCounter);
    return [...new Map(visitors.map((visitor) => [visitor.actor, visitor])).values()];
  }

  endAll(error: FlotillaError): void {
    for (const visit of this.visits.values()) visit.end(error);
    this.visits.clear();
  }
}
