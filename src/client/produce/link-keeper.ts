import { type FlotillaError, LIMITS, toFlotillaError } from '../../base/index.js';
import { unreachableError } from '../connection/attempts.js';
import { BackOff } from '../connection/back-off.js';
import type { Hosts } from '../connection/hosts.js';
import type { OpenLink, ProduceLink, ProduceLinkEvents } from './produce-link.js';

export interface LinkKeeperOptions {
  readonly hosts: Hosts;
  readonly openLink: OpenLink;
  readonly followLeader: boolean;
  /** How long to look for a first node at all. */
  readonly connectTimeoutMs: number;
  /** A link is open, or may be left: look what there is to do. */
  readonly onReady: () => void;
  readonly onFailedAttempt: (error: FlotillaError) => void;
  /** A node is left: it may not have told of the others, which may take batches. */
  readonly onRefused: (address: string) => void;
  /** No node was ever reached. */
  readonly onUnreachable: (error: FlotillaError) => void;
}

/**
 * How the connection stands. `draining`: nothing more is sent on this link; once
 * its batches are answered, `next` takes over, or a new link after `pauseMs`.
 * `listens`, `listening`: a link whose node knows no leader, and will tell when it does.
 */
type State =
  | { readonly name: 'idle' }
  | { readonly name: 'connecting' }
  | { readonly name: 'pausing'; readonly timer: NodeJS.Timeout; readonly listening: ProduceLink | undefined }
  | { readonly name: 'open'; readonly link: ProduceLink }
  | {
      readonly name: 'draining';
      readonly link: ProduceLink;
      readonly next: ProduceLink | undefined;
      readonly pauseMs: number;
      readonly listens: boolean;
    }
  | { readonly name: 'closed' };

/** How long a leader's address that can't be reached from here is not tried again. */
const UNFOLLOWABLE_MS = 10_000;

/** Keeps one produce stream to one of the hosts: chooses, connects, changes over to the leader. */
export class LinkKeeper {
  private readonly options: LinkKeeperOptions;
  private readonly events: ProduceLinkEvents;
  private readonly backOff = new BackOff();
  private state: State = { name: 'idle' };
  private contacted = false;
  private searchSinceMs: number | undefined;
  private refusedSinceMs: number | undefined;
  private following = false;
  /** As a node last told. */
  private leader: string | undefined;
  private readonly unfollowableUntilMs = new Map<string, number>();

  constructor(options: LinkKeeperOptions, events: ProduceLinkEvents) {
    this.options = options;
    this.events = events;
  }

  /** The link to send on. */
  get open(): ProduceLink | undefined {
    return this.state.name === 'open' ? this.state.link : undefined;
  }

  get draining(): boolean {
    return this.state.name === 'draining';
  }

  isCurrent(link: ProduceLink): boolean {
    return (this.state.name === 'open' || this.state.name === 'draining') && this.state.link === link;
  }

  /** There is something to send. */
  want(): void {
    if (this.state.name === 'idle') void this.connect();
  }

  /** The node takes batches. */
  succeeded(): void {
    this.backOff.succeeded();
    this.refusedSinceMs = undefined;
  }

  /** Sends nothing more on a link whose node refused; `changeOver` follows once what is in flight is answered. */
  leave(link: ProduceLink, error: FlotillaError): void {
    if (this.state.name !== 'open' || this.state.link !== link) return;
    // A node that takes batches names the members along with the leader; one that knows of no leader has to be asked.
    this.options.onRefused(link.address);
    this.chooseHost(link.address, error, true);
    const listens = awaitsLeader(link, error);
    this.state = {
      name: 'draining',
      link,
      next: undefined,
      pauseMs: listens ? LIMITS.clientListenMs : this.pauseAfter(link),
      listens,
    };
  }

  /** Nothing is in flight any more on the link that is being left. */
  changeOver(): void {
    if (this.state.name !== 'draining') return;
    const { link, next, pauseMs, listens } = this.state;
    if (listens && link.endedWith === undefined) {
      this.pause(pauseMs, link);
      return;
    }
    link.close();
    if (next !== undefined && next.endedWith === undefined) this.take(next);
    else this.pause(pauseMs);
  }

  /** A node has named the leader: what waits for it goes there at once. */
  leaderKnown(link: ProduceLink, address: string): void {
    // A node that was down when it was last to be followed may be followed now that it leads again.
    if (address !== this.leader) this.unfollowableUntilMs.delete(address);
    this.leader = address;
    const { state } = this;
    if (state.name === 'draining' && state.link === link && state.listens) {
      this.preferLeader(address);
      this.state = { ...state, pauseMs: 0, listens: false };
    } else if (state.name === 'pausing' && state.listening === link) {
      this.preferLeader(address);
      this.endPause(state);
    } else {
      void this.follow(address);
    }
  }

  /** The current link broke off. */
  lost(link: ProduceLink, error: FlotillaError): void {
    const next = this.state.name === 'draining' ? this.state.next : undefined;
    this.chooseHost(link.address, error, false);
    if (next !== undefined && next.endedWith === undefined) this.take(next);
    else this.pause(this.pauseAfter(link));
  }

  /** Another node is asked at once, the first time; then after a pause. */
  private pauseAfter({ address }: ProduceLink): number {
    const isFirst = this.backOff.failuresInRow === 0;
    const pauseMs = this.backOff.nextMs();
    return isFirst && this.options.hosts.preferred !== address ? 0 : pauseMs;
  }

  /** Connects to the leader beside the open link, and changes over only when that has succeeded. */
  private async follow(address: string): Promise<void> {
    this.options.hosts.learn(address);
    if (!this.options.followLeader || this.following || this.open?.address === address || !this.isFollowable(address))
      return;
    this.following = true;
    try {
      this.goOver(await this.options.openLink(address, this.events));
    } catch {
      // Its address may not lead there from here, say out of a container's network: the nodes forward then.
      if (this.unfollowableUntilMs.size >= LIMITS.clientHosts) this.unfollowableUntilMs.clear();
      this.unfollowableUntilMs.set(address, performance.now() + UNFOLLOWABLE_MS);
    } finally {
      this.following = false;
      this.options.onReady();
    }
  }

  /** Goes over to a link that was opened beside the one in use. */
  private goOver(next: ProduceLink): void {
    const { state } = this;
    if (next.endedWith !== undefined) return;
    if (state.name === 'closed' || (state.name === 'open' && state.link.address === next.address) || this.hasNext) {
      next.close();
    } else if (state.name === 'open' || state.name === 'draining') {
      this.state = { name: 'draining', link: state.link, next, pauseMs: 0, listens: false };
    } else {
      if (state.name === 'pausing') this.stopPausing(state);
      this.take(next);
    }
  }

  private get hasNext(): boolean {
    return this.state.name === 'draining' && this.state.next !== undefined;
  }

  close(): void {
    if (this.state.name === 'open' || this.state.name === 'draining') this.state.link.close();
    if (this.state.name === 'draining') this.state.next?.close();
    if (this.state.name === 'pausing') this.stopPausing(this.state);
    this.state = { name: 'closed' };
  }

  private async connect(): Promise<void> {
    const address = this.options.hosts.preferred;
    const connecting: State = { name: 'connecting' };
    this.state = connecting;
    this.searchSinceMs ??= performance.now();
    try {
      const link = await this.options.openLink(address, this.events);
      if (this.state === connecting) this.opened(link);
      else link.close();
    } catch (error) {
      if (this.state === connecting) this.failedAttempt(address, toFlotillaError(error));
    }
  }

  private take(next: ProduceLink): void {
    this.options.hosts.prefer(next.address);
    this.opened(next);
  }

  private opened(link: ProduceLink): void {
    if (link.endedWith !== undefined) {
      this.failedAttempt(link.address, link.endedWith);
      return;
    }
    this.contacted = true;
    this.searchSinceMs = undefined;
    this.state = { name: 'open', link };
    this.options.onReady();
  }

  private failedAttempt(address: string, error: FlotillaError): void {
    this.options.onFailedAttempt(error);
    this.options.hosts.failed(address);
    this.pause(this.backOff.nextMs());
    this.endSearch(error);
  }

  /** Before the first contact the search ends soon: the addresses may be wrong altogether. */
  private endSearch(error: FlotillaError): void {
    if (this.contacted || this.searchSinceMs === undefined) return;
    if (performance.now() - this.searchSinceMs < this.options.connectTimeoutMs) return;
    this.searchSinceMs = undefined;
    this.options.onUnreachable(unreachableError(this.options.hosts, error));
  }

  private pause(pauseMs: number, listening?: ProduceLink): void {
    const timer = setTimeout(() => this.endPause(pausing), pauseMs);
    const pausing = { name: 'pausing', timer, listening } as const;
    this.state = pausing;
  }

  private stopPausing({ timer, listening }: Extract<State, { name: 'pausing' }>): void {
    clearTimeout(timer);
    listening?.close();
  }

  private endPause(state: Extract<State, { name: 'pausing' }>): void {
    this.stopPausing(state);
    this.state = { name: 'idle' };
    this.options.onReady();
  }

  /** `answers`: the node is up, it only refuses. */
  private chooseHost(address: string, error: FlotillaError, answers: boolean): void {
    const { hosts, followLeader } = this.options;
    if (error.leader !== undefined && error.leader !== address && this.preferLeader(error.leader)) return;
    if (error.code === 'TOO_MANY_REQUESTS') return;
    if (answers && error.code !== 'SHUTTING_DOWN' && !followLeader) {
      // The client stays with a node that answers: an election takes less time than this.
      const nowMs = performance.now();
      this.refusedSinceMs ??= nowMs;
      if (nowMs - this.refusedSinceMs < LIMITS.clientRefusedMs) return;
      this.refusedSinceMs = undefined;
    }
    hosts.failed(address);
  }

  /** False where the client does not follow it. */
  private preferLeader(address: string): boolean {
    if (!this.options.followLeader || !this.isFollowable(address)) return false;
    this.options.hosts.prefer(address);
    return true;
  }

  private isFollowable(address: string): boolean {
    return (this.unfollowableUntilMs.get(address) ?? 0) <= performance.now();
  }
}

/** The node is up and looks for a leader, or is handing leadership over: it will be the first to know the leader. */
function awaitsLeader({ address }: ProduceLink, { code, leader }: FlotillaError): boolean {
  return (code === 'NO_LEADER' || code === 'NOT_LEADER') && (leader === undefined || leader === address);
}
