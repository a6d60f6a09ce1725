import { type ActorId, AssertionFailure, FlotillaError, LIMITS, type Member } from '../base/index.js';
import { CLUSTER_GROUP, type Cluster } from '../cluster/index.js';
import { DEFAULT_STREAM } from '../event/index.js';
import type { GroupHost, LinkState } from '../group/index.js';
import { addClientServices, type BatchThread } from '../grpc/index.js';
import { HttpServer, type Readiness } from '../http/index.js';
import { ClusterMachine, type ClusterState } from '../machine/cluster/index.js';
import { Formation, type Founded, type PeerLinks, PeerRecords } from '../peer/index.js';
import { RpcServer } from '../rpc/index.js';
import { type ClusterView, handOver, type Service, type Streams } from '../service/index.js';
import type { LevelStorage, NodeDirectory, SpaceGuard } from '../storage/index.js';
import type { Stream, StreamHost } from '../stream/index.js';
import { DEFAULT_GROUP } from '../stream/index.js';
import type { Logging, Metrics } from '../telemetry/index.js';
import { NodeKey, SPOKEN_VERSIONS, type VersionRange, vouch } from '../wire/index.js';
import { formatAddress, type ServerConfig } from './config/index.js';
import { createService } from './create-service.js';
import { joinCluster } from './join-cluster.js';
import { KnownCluster } from './known-cluster.js';
import { addPeerService } from './peer-handlers.js';
import { reasonsLeaderless } from './reasons-leaderless.js';
import { Reconciliation } from './reconciliation.js';
import { createReplication } from './replication.js';
import { tellIgnoredRetention } from './retention-options.js';
import { SpokenVersions } from './spoken-versions.js';
import { mirrorGroups, mirrorSpace, mirrorStream } from './stream-metrics.js';
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
    leaderAddress: (stream) => this.addressOf(stream.group.leader),
    memberAddresses: () => this.members.map(({ address }) => address),
  };
  private readonly forming = new AbortController();
  private phase: Phase = 'forming';
  private self: Member;
  private formation: Formation | undefined;
  private links: PeerLinks | undefined;
  private reconciliation: Reconciliation | undefined;
  private host: GroupHost | undefined;
  private streamHost: StreamHost | undefined;
  private leaderWatch: NodeJS.Timeout | undefined;
  private farewell: NodeJS.Timeout | undefined;
  private known: KnownCluster | undefined;
  private cluster: Cluster | undefined;
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
    this.reconciliation?.stop();
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
    this.reconciliation?.stop();
    clearInterval(this.leaderWatch);
    clearTimeout(this.farewell);
    this.settle?.(outcome);
  }

  /** Forms the cluster, or finds this node's place in the one it founded, and takes part in it. */
  private async joinIn(): Promise<void> {
    try {
      const founded = await this.requireFormation().form(this.forming.signal);
      if (this.phase !== 'forming') return;
      await joinCluster({ ...this.parts, self: this.self, founded });
      if (this.phase === 'forming') this.takePart(founded);
    } catch (error) {
      if (this.phase === 'forming') this.fail(error);
    }
  }

  private takePart(founded: Founded): void {
    const { config, logging, metrics, storage, directory } = this.parts;
    const { clusterId } = founded;
    const { recovered } = storage.group(CLUSTER_GROUP);
    const known = this.beginToKnow(founded, ClusterMachine.decode(recovered.state).state);
    const former = recovered.memberships
      .flatMap(({ membership }) => membership.members.map(({ instance }) => instance))
      .filter((instance) => !this.members.some((member) => member.instance === instance));
    const { links, host, cluster, streams } = createReplication({
      ...this.parts,
      clusterId,
      self: this.self,
      key: NodeKey.fromSecret(directory.identity.secret),
      bootCounter: directory.identity.bootCounter,
      boots: directory.identity.boots,
      memory: directory.known,
      members: this.members,
      former,
      activeVersion: this.versions,
      onCaller: () => this.noticeCaller(),
      membership: { versions: () => this.versions.range, vouchers: () => known.vouchers },
      onFatal: (error) => this.fail(error),
    });
    this.links = links;
    this.host = host;
    this.cluster = cluster;
    this.streamHost = streams;
    mirrorGroups(host, metrics);
    mirrorSpace(this.parts.space, metrics);
    const stream = this.defaultStream();
    mirrorStream(stream, metrics, () => links.states());
    tellIgnoredRetention(stream, config.retention, logging.logger('node'));
    const reconciliation = new Reconciliation({
      self: { ...this.self, versions: this.versions.range },
      cluster,
      streams,
      founding: {
        clusterId,
        members: this.members,
        streams: [{ name: DEFAULT_STREAM, group: DEFAULT_GROUP, incarnation: stream.group.incarnation }],
      },
      links,
      peerAddresses: config.peerAddresses,
      logging,
    });
    this.reconciliation = reconciliation;
    cluster.onChange((state) => {
      this.followCluster(state);
      reconciliation.stateChanged();
    });
    this.phase = 'serving';
    this.leaderWatch = this.watchLeader();
    this.server.setServing(true);
    host.start();
    links.start();
    storage.heal(new PeerRecords(links, logging.logger('peer')));
    reconciliation.start();
    void this.announceReady(stream);
  }

  /** What it knew when it was stopped, or was told when the cluster formed, and what its own log has told since. */
  private beginToKnow(founded: Founded, state: ClusterState): KnownCluster {
    const { cluster: noted } = this.parts.directory.known;
    const told = noted?.clusterId === founded.clusterId ? { ...noted, members: [this.self, ...noted.others] } : founded;
    const known = new KnownCluster(this.self, told.members.length === 0 ? { ...told, members: [this.self] } : told);
    this.known = known;
    this.followCluster(state);
    const seat = known.members.find(({ instance }) => instance === this.self.instance);
    if (seat !== undefined && seat.address !== this.address) {
      const fields = { address: this.address, known: seat.address };
      const logger = this.parts.logging.logger('node');
      logger.info(fields, 'this node is at another address than the cluster knows: it tells the others');
    }
    return known;
  }

  private async announceReady(stream: Stream): Promise<void> {
    while (this.phase === 'serving' && stream.group.leader === undefined) await stream.group.roleChanged();
    if (this.phase === 'serving')
      this.parts.logging.logger('node').info({ address: this.address, httpPort: this.httpPort }, 'ready');
  }

  /** A peer says where it is: perhaps elsewhere than the cluster's state does. */
  private noticeCaller(): void {
    this.reconciliation?.peerCalled();
    const { links } = this;
    if (links !== undefined) this.formation?.setMembers(this.members.map((member) => links.located(member)));
  }

  /** Links to new members stand as soon as they are known, and those to members that have left for a while longer. */
  private followCluster(state: ClusterState): void {
    const { known } = this;
    if (known === undefined) return;
    this.versions.follow(state.activeVersion);
    const all = known.follow(state);
    this.links?.setMembers(all);
    this.formation?.setMembers(known.members);
    const { clusterId } = this.parts.directory.identity;
    if (clusterId !== undefined)
      this.parts.directory.follow(clusterId, this.self, known).catch((error: unknown) => this.fail(error));
    if (!known.hasSelf) return;
    clearTimeout(this.farewell);
    this.farewell = setTimeout(() => this.links?.setMembers(known.members), LIMITS.farewellMs).unref();
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
        if (this.cluster?.group.members.hasLeft === true) return [REMOVED];
        return this.stream === undefined ? [] : reasonsLeaderless(this.stream.group, this.view());
      case 'leaving':
      case 'stopping':
      case 'ended':
        return ['the node is stopping'];
    }
  }

  private get members(): readonly Member[] {
    return this.known?.members ?? [];
  }

  /** Of the stream `default`. */
  private get stream(): Stream | undefined {
    return this.streamHost?.get(DEFAULT_GROUP);
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
    const { self, members, cluster, stream } = this;
    const { secret } = this.parts.directory.identity;
    const links = this.links?.states() ?? new Map<ActorId, LinkState>();
    const formWithout: ClusterView['formWithout'] = (addresses) => this.requireFormation().formWithout(addresses);
    return {
      self,
      version: VERSION,
      clusterId,
      members,
      cluster,
      stream,
      groups: [...(this.host?.all ?? [])],
      links,
      isLinked: (seat) => this.links?.isLinkedWith(seat) === true,
      addressOf: (actor) => this.addressOf(actor),
      vouch: (claim) => vouch(NodeKey.fromSecret(secret), clusterId, claim),
      formWithout,
    };
  }

  private findStream(name: string): Stream {
    const stream = this.defaultStream();
    if (name === DEFAULT_STREAM) return stream;
    throw new FlotillaError(
      'NOT_FOUND',
      `stream: there is no stream ${JSON.stringify(name)}; this version has only "${DEFAULT_STREAM}"`,
    );
  }

  private defaultStream(): Stream {
    if (this.phase === 'stopping' || this.phase === 'ended')
      throw new FlotillaError('SHUTTING_DOWN', 'the node is stopping; use another one');
    const { stream } = this;
    if (stream !== undefined) return stream;
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
