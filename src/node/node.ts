import { type ActorId, AssertionFailure, FlotillaError, groupId, LIMITS } from '../base/index.js';
import { DEFAULT_STREAM } from '../event/index.js';
import type { GroupHost, LinkState } from '../group/index.js';
import { addClientServices, type BatchThread } from '../grpc/index.js';
import { HttpServer, type Readiness } from '../http/index.js';
import { Formation, type PeerLinks, PeerRecords } from '../peer/index.js';
import { RpcServer } from '../rpc/index.js';
import { type ClusterView, handOver, type Service, type Streams } from '../service/index.js';
import type { LevelStorage, NodeDirectory, SpaceGuard } from '../storage/index.js';
import type { Stream, StreamHost } from '../stream/index.js';
import { DEFAULT_GROUP, incarnationOf } from '../stream/index.js';
import type { Logging, Metrics } from '../telemetry/index.js';
import {
  type Member,
  type Membership,
  NodeKey,
  SPOKEN_VERSIONS,
  type VersionRange,
  type Voucher,
} from '../wire/index.js';
import { formatAddress, type ServerConfig } from './config/index.js';
import { createService } from './create-service.js';
import { MemberCare } from './member-care.js';
import { bothOf } from './overlapping-members.js';
import { addPeerService } from './peer-handlers.js';
import { mirrorGroups, mirrorReplica, mirrorSpace } from './replica-metrics.js';
import { createReplication } from './replication.js';
import { tellIgnoredRetention } from './retention-options.js';
import { SpokenVersions } from './spoken-versions.js';
import { VERSION } from './version.js';
import { within } from './within.js';

const REMOVED = 'this node was removed from the cluster: stop it; with an empty data directory it may join again';

/** How far a node is. `serving`: it takes part in a cluster. */
type Phase = 'forming' | 'serving' | 'leaving' | 'stopping' | 'ended';

export interface NodeParts {
  readonly config: ServerConfig;
  readonly logging: Logging;
  readonly metrics: Metrics;
  readonly directory: NodeDirectory;
  readonly storage: LevelStorage;
  readonly space: SpaceGuard;
  /** What this node speaks. Default: {@link SPOKEN_VERSIONS}; tests make older nodes. */
  readonly versions?: VersionRange;
  /**
   * Groups that are made beside that of `default` when the cluster is founded; until streams can be created,
   * measurements are all that needs them.
   */
  readonly furtherGroups?: number | undefined;
}

/** One node: its parts, wired together, and their order of starting and stopping. */
export class FlotillaNode {
  /** Resolves when the node has ended: by {@link stop}, or with the failure that ended it. */
  readonly stopped: Promise<{ readonly error?: unknown }>;
  /** What clients may ask of this node; an embedding program asks it without a socket. */
  readonly service: Service;
  private readonly parts: NodeParts;
  private readonly versions: SpokenVersions;
  private readonly server: RpcServer;
  private readonly batches: BatchThread;
  private readonly http: HttpServer;
  private readonly lookup: Streams = {
    find: (name) => this.findStream(name),
    leaderAddress: (replica) => this.addressOf(replica.group.leader),
    memberAddresses: () => this.members.map(({ address }) => address),
  };
  private readonly forming = new AbortController();
  private phase: Phase = 'forming';
  private self: Member;
  private formation: Formation | undefined;
  private links: PeerLinks | undefined;
  private care: MemberCare | undefined;
  private host: GroupHost | undefined;
  private streamHost: StreamHost | undefined;
  private leaderWatch: NodeJS.Timeout | undefined;
  private farewell: NodeJS.Timeout | undefined;
  private members: readonly Member[] = [];
  private vouchers: readonly Voucher[] = [];
  private boundHttpPort: number | undefined;
  private settle: ((outcome: { readonly error?: unknown }) => void) | undefined;

  constructor(parts: NodeParts) {
    const { config, logging, metrics, directory } = parts;
    this.parts = parts;
    this.self = {
      actor: config.actor,
      instance: directory.identity.instance,
      address: formatAddress(config.advertise),
    };
    this.stopped = new Promise((resolve) => {
      this.settle = resolve;
    });
    this.versions = new SpokenVersions(parts.versions ?? SPOKEN_VERSIONS, logging.logger('node'));
    const logger = logging.logger('api');
    const view = (): ClusterView => this.view();
    ({ service: this.service, batches: this.batches } = createService({ ...parts, streams: this.lookup, view }));
    this.server = new RpcServer({
      largeRequests: this.batches,
      onInternalError: (error, method) => {
        logger.error({ error, method }, 'a call failed inside');
        if (error instanceof AssertionFailure) this.fail(error);
      },
    });
    this.http = new HttpServer({
      readiness: () => this.readiness(),
      exposition: () => metrics.exposition(),
      logger: logging.logger('http'),
    });
  }

  get actor(): number {
    return this.self.actor;
  }

  /** HOST:PORT that others are told. */
  get address(): string {
    return this.self.address;
  }

  /** Where metrics and health are served; undefined where that is off. */
  get httpPort(): number | undefined {
    return this.boundHttpPort;
  }

  /** The streams that the node has; undefined until it takes part in its cluster. */
  get streams(): StreamHost | undefined {
    return this.streamHost;
  }

  /** Binds the ports and begins to form, or to take part in, the cluster. */
  async listen(): Promise<void> {
    const { config, logging } = this.parts;
    addClientServices(this.server, this.service);
    const view = (): ClusterView => this.view();
    addPeerService(this.server, { formation: () => this.requireFormation(), links: () => this.requireLinks(), view });
    const port = await this.server.listen(config.host, config.port);
    if (config.advertise.port === 0)
      this.self = { ...this.self, address: formatAddress({ ...config.advertise, port }) };
    this.formation = new Formation({
      self: this.self,
      versions: () => this.versions.range,
      store: this.parts.directory,
      peerAddresses: config.peerAddresses,
      logger: logging.logger('formation'),
    });
    if (config.httpPort !== undefined) this.boundHttpPort = await this.http.listen(config.host, config.httpPort);
    logging
      .logger('node')
      .info({ version: VERSION, address: this.address, dataDirectory: config.dataDirectory }, 'listening');
    void this.joinIn();
  }

  /** Hands leadership over, finishes what is under way, closes everything. */
  async stop(reason: string): Promise<void> {
    if (this.phase !== 'forming' && this.phase !== 'serving') {
      await this.stopped;
      return;
    }
    const logger = this.parts.logging.logger('node');
    logger.info({ reason }, 'stopping');
    this.phase = 'leaving';
    this.forming.abort();
    this.server.setServing(false);
    const groups = [...(this.host?.all ?? [])];
    for (const group of groups) group.leave();
    const handedOver = await Promise.all(groups.map((group) => handOver(group, this.parts.config.electionTimeoutMs)));
    // Producers have just heard who leads, and go there by themselves.
    if (handedOver.includes(true)) await within(LIMITS.changeOverMs, this.service.settled());
    if (this.phase === 'leaving') this.phase = 'stopping';
    const stopping = new FlotillaError('SHUTTING_DOWN', 'the node is stopping; nothing was proposed: use another node');
    await within(LIMITS.drainMs, this.service.drain(stopping));
    this.host?.stop();
    await this.server.close(LIMITS.closeMs);
    await this.close();
    logger.info({}, 'stopped');
    this.end({});
  }

  /**
   * The first failure that the node can't survive: it stops at once, acknowledges nothing more, and verifies its data
   * on the next start.
   */
  fail(error: unknown): void {
    if (this.phase === 'ended') return;
    // What has a message for people is no defect of ours, and needs no stack.
    const fields = error instanceof FlotillaError ? { code: error.code, reason: error.message } : { error };
    this.parts.logging.logger('node').error(fields, 'the node stops: it can not go on safely');
    this.host?.stop();
    this.end({ error });
  }

  /** Gives up what {@link listen} had begun. */
  async abandon(): Promise<void> {
    this.forming.abort();
    this.phase = 'ended';
    this.care?.stop();
    await this.server.close(0);
    await this.batches.close();
    await this.http.close();
    await this.links?.close();
  }

  private async close(): Promise<void> {
    await this.batches.close();
    await this.http.close();
    await this.links?.close();
    await this.parts.space.stop();
    await this.parts.storage.close();
    await this.parts.directory.close();
    this.parts.metrics.close();
  }

  private end(outcome: { readonly error?: unknown }): void {
    this.phase = 'ended';
    this.care?.stop();
    clearInterval(this.leaderWatch);
    clearTimeout(this.farewell);
    this.settle?.(outcome);
  }

  /** Forms the cluster, or finds this node's place in the one it founded, and takes part in it. */
  private async joinIn(): Promise<void> {
    try {
      const founded = await this.requireFormation().form(this.forming.signal);
      if (this.phase !== 'forming') return;
      await this.createGroups(founded.clusterId, founded.membership);
      await this.parts.directory.joinCluster(founded.clusterId);
      if (this.phase === 'forming') this.takePart(founded.clusterId);
    } catch (error) {
      if (this.phase === 'forming') this.fail(error);
    }
  }

  private async createGroups(clusterId: string, membership: Membership): Promise<void> {
    const { storage, directory, furtherGroups = 0 } = this.parts;
    if (directory.identity.clusterId !== undefined) return;
    for (let group = DEFAULT_GROUP; group <= DEFAULT_GROUP + furtherGroups; group = groupId(group + 1)) {
      const name = group === DEFAULT_GROUP ? DEFAULT_STREAM : `group ${group}`;
      await storage.createGroup({ group, incarnation: incarnationOf(clusterId, name), machine: 'stream', membership });
    }
  }

  private takePart(clusterId: string): void {
    const { config, logging, metrics, storage, directory } = this.parts;
    const { cluster } = directory.known;
    if (cluster?.clusterId === clusterId) this.members = [this.self, ...cluster.others];
    // With the first, which names who took this node in: the latest in its log may be older than that.
    const { memberships } = storage.group(DEFAULT_GROUP).recovered;
    for (const placed of [memberships.at(0), memberships.at(-1)])
      if (placed !== undefined) this.followMembership(placed.membership);
    const seat = this.members.find(({ instance }) => instance === this.self.instance);
    if (seat !== undefined && seat.address !== this.self.address) {
      const fields = { address: this.self.address, known: seat.address };
      logging
        .logger('node')
        .info(fields, 'this node is at another address than the cluster knows: it tells the others');
    }
    const former = memberships
      .flatMap(({ membership }) => membership.members.map(({ instance }) => instance))
      .filter((instance) => !this.members.some((member) => member.instance === instance));
    const { links, host, streams } = createReplication({
      ...this.parts,
      clusterId,
      self: this.self,
      key: NodeKey.fromSecret(directory.identity.secret),
      bootCounter: directory.identity.bootCounter,
      boots: directory.identity.boots,
      memory: directory.known,
      members: this.members,
      former,
      onMembership: (membership) => this.followMembership(membership),
      onCaller: () => this.noticeCaller(),
      membership: { versions: () => this.versions.range, vouchers: () => this.vouchers },
      onFatal: (error) => this.fail(error),
    });
    this.links = links;
    this.host = host;
    this.streamHost = streams;
    mirrorGroups(host, metrics);
    mirrorSpace(this.parts.space, metrics);
    const replica = this.defaultStream();
    mirrorReplica(replica, metrics, () => links.states());
    tellIgnoredRetention(replica, config.retention, logging.logger('node'));
    this.care = new MemberCare({
      self: { ...this.self, versions: this.versions.range },
      clusterId,
      group: replica.group,
      links,
      peerAddresses: config.peerAddresses,
      logging,
    });
    this.phase = 'serving';
    this.leaderWatch = this.watchLeader();
    this.server.setServing(true);
    host.start();
    links.start();
    storage.heal(new PeerRecords(links, logging.logger('peer')));
    this.care.start();
    void this.announceReady(replica);
  }

  private async announceReady(replica: Stream): Promise<void> {
    while (this.phase === 'serving' && replica.group.leader === undefined) await replica.group.roleChanged();
    if (this.phase === 'serving')
      this.parts.logging.logger('node').info({ address: this.address, httpPort: this.httpPort }, 'ready');
  }

  /** A peer says where it is: perhaps elsewhere than the membership does. */
  private noticeCaller(): void {
    this.care?.check();
    const { links } = this;
    if (links !== undefined) this.formation?.setMembers(this.members.map((member) => links.located(member)));
  }

  /**
   * Links to new members stand as soon as they are in the log. Those to members
   * that have left stay for a while, so that they hear of it; and while this node
   * catches up on memberships before its own, those that took it in stay, too.
   */
  private followMembership(membership: Membership): void {
    const { members, vouchers = [] } = membership;
    this.versions.follow(membership);
    const isMember = members.some(({ instance }) => instance === this.self.instance);
    if (isMember || vouchers.length > this.vouchers.length) this.vouchers = vouchers;
    const all = bothOf(this.members, members, isMember);
    this.members = isMember ? members : all;
    this.links?.setMembers(all);
    this.formation?.setMembers(this.members);
    const { clusterId } = this.parts.directory.identity;
    if (clusterId !== undefined)
      this.parts.directory.follow(clusterId, this.self, this.members).catch((error: unknown) => this.fail(error));
    if (!isMember) return;
    clearTimeout(this.farewell);
    this.farewell = setTimeout(() => this.links?.setMembers(members), LIMITS.farewellMs).unref();
  }

  private readiness(): Readiness {
    const reasons = this.reasonsNotReady();
    return {
      ready: reasons.length === 0,
      reasons,
      warnings: [...this.parts.space.warnings, ...(this.host?.clockWarnings ?? [])],
    };
  }

  private reasonsNotReady(): string[] {
    switch (this.phase) {
      case 'forming':
        return [this.formation?.purpose ?? 'the node is starting', ...(this.formation?.waitingFor ?? [])];
      case 'serving':
        if (this.replica?.group.members.hasLeft === true) return [REMOVED];
        return this.replica?.group.leader === undefined ? this.reasonsLeaderless() : [];
      case 'leaving':
      case 'stopping':
      case 'ended':
        return ['the node is stopping'];
    }
  }

  private reasonsLeaderless(): string[] {
    const actors = this.members.map(({ actor }) => actor).join(', ');
    const states = this.links?.states();
    const away = this.members.filter(({ actor }) => actor !== this.self.actor && states?.get(actor) !== 'open');
    return [
      'no leader is known',
      ...(this.isMember ? [] : ['this node is no member of the cluster, not yet or not any more']),
      `this node belongs to the cluster of actors ${actors}, of which a majority must take part`,
      ...away.map(({ actor, address }) => `actor ${actor} (${address}) can't be reached`),
    ];
  }

  /** Of the stream `default`. */
  private get replica(): Stream | undefined {
    return this.streamHost?.get(DEFAULT_GROUP);
  }

  private get isMember(): boolean {
    return this.replica?.group.membership.members.some(({ instance }) => instance === this.self.instance) === true;
  }

  /** Says why the cluster has no leader, where that lasts; again when the reasons have changed. */
  private watchLeader(): NodeJS.Timeout {
    let told = '';
    return setInterval(() => {
      const reasons = this.phase === 'serving' ? this.reasonsNotReady() : [];
      const text = reasons.join('; ');
      if (text !== '' && text !== told) this.parts.logging.logger('node').warn({ reasons }, 'not ready');
      told = text;
    }, LIMITS.leaderCheckMs).unref();
  }

  private view(): ClusterView {
    const clusterId = this.parts.directory.identity.clusterId ?? '';
    const { self, members, replica } = this;
    const links = this.links?.states() ?? new Map<ActorId, LinkState>();
    const formWithout: ClusterView['formWithout'] = (addresses) => this.requireFormation().formWithout(addresses);
    return {
      self,
      version: VERSION,
      clusterId,
      members,
      replica,
      links,
      leaderAddress: this.addressOf(replica?.group.leader),
      formWithout,
    };
  }

  private findStream(name: string): Stream {
    const replica = this.defaultStream();
    if (name === DEFAULT_STREAM) return replica;
    throw new FlotillaError(
      'NOT_FOUND',
      `stream: there is no stream ${JSON.stringify(name)}; this version has only "${DEFAULT_STREAM}"`,
    );
  }

  private defaultStream(): Stream {
    if (this.phase === 'stopping' || this.phase === 'ended')
      throw new FlotillaError('SHUTTING_DOWN', 'the node is stopping; use another one');
    const { replica } = this;
    if (replica !== undefined) return replica;
    const waiting = this.formation?.waitingFor.join('; ') ?? '';
    throw new FlotillaError('NOT_READY', `the cluster is forming${waiting === '' ? '' : `: ${waiting}`}`);
  }

  private addressOf(actor: number | undefined): string | undefined {
    return this.members.find((member) => member.actor === actor)?.address;
  }

  private requireFormation(): Formation {
    if (this.formation === undefined) throw new FlotillaError('NOT_READY', 'the node is starting');
    return this.formation;
  }

  private requireLinks(): PeerLinks {
    if (this.links === undefined) throw new FlotillaError('NOT_READY', 'the node is not part of a cluster yet');
    return this.links;
  }
}
