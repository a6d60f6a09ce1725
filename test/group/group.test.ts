/** What runs on a group is none of its business: a machine that only adds numbers up runs on it as a stream does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  type ActorId,
  actorId,
  FlotillaError,
  type GroupId,
  groupId,
  assert as invariant,
  LIMITS,
  type LogIndex,
  logIndex,
  readUint64,
  viewOf,
  writeUint64,
} from '../../src/base/index.js';
import { CacheBudget, Deadlines, Group } from '../../src/group/index.js';
import type {
  Admission,
  Command,
  CommittedRecord,
  Decision,
  MachineKind,
  StateMachine,
} from '../../src/machine/index.js';
import type { Message } from '../../src/raft/index.js';
import type { LogRecord } from '../../src/wire/index.js';
import { fateOf, memberOf, Observed } from '../support/group-parts.js';
import { ManualClock } from '../support/manual-clock.js';
import { emptyGroupDisk, MemoryStorage } from '../support/memory-storage.js';

const GROUP = groupId(7);
const ACTORS = [1, 2, 3].map(actorId);

interface Add extends Command {
  readonly amount: number;
}

/** A sum that must not go beyond a bound. */
class Sum implements StateMachine {
  appliedIndex: LogIndex;
  total: number;

  constructor(appliedIndex: LogIndex, total: number) {
    this.appliedIndex = appliedIndex;
    this.total = total;
  }

  /** All that it needs is its state. */
  get expendableIndex(): LogIndex {
    return this.appliedIndex;
  }

  apply({ kind, index, payload }: CommittedRecord): void {
    invariant(index === this.appliedIndex + 1, 'records are applied in order');
    if (kind === 'settings') this.total += readUint64(viewOf(payload), 0);
    this.appliedIndex = index;
  }

  encode(): Uint8Array {
    const bytes = new Uint8Array(16);
    writeUint64(viewOf(bytes), 0, this.appliedIndex);
    writeUint64(viewOf(bytes), 8, this.total);
    return bytes;
  }
}

class SumAdmission implements Admission<Add, Sum> {
  private open: { readonly index: LogIndex; readonly amount: number }[] = [];

  decide({ amount }: Add, { total }: Sum): Decision {
    const promised = this.open.reduce((sum, each) => sum + each.amount, total);
    if (promised + amount <= 100) return { kind: 'append' };
    const error = new FlotillaError('INVALID_ARGUMENT', `${promised} and ${amount} are more than 100`);
    return { kind: 'refuse', error, isCertain: false };
  }

  appended({ amount }: Add, index: LogIndex): void {
    this.open.push({ index, amount });
  }

  applied(index: LogIndex): void {
    this.open = this.open.filter((each) => each.index > index);
  }
}

const SUM_KIND: MachineKind<Add, Sum> = {
  name: 'sum',
  initial: () => new Sum(logIndex(0), 0),
  decode: (bytes) => new Sum(logIndex(readUint64(viewOf(bytes), 0)), readUint64(viewOf(bytes), 8)),
  admission: () => new SumAdmission(),
  write: (payload, [command]) => writeUint64(viewOf(payload), 0, command?.amount ?? 0),
};

const add = (actor: number, amount: number): Add => ({
  kind: 'settings',
  actor: actorId(actor),
  payloadBytes: 8,
  eventCount: 0,
  amount,
});

interface Node {
  readonly group: Group<Add, Sum>;
  readonly clock: ManualClock;
}

/** Three nodes whose messages arrive at once. */
class SumCluster {
  readonly nodes = new Map<ActorId, Node>();
  private readonly inFlight: { from: ActorId; to: ActorId; message: Message; records: readonly LogRecord[] }[] = [];

  constructor() {
    const membership = { voters: ACTORS, outgoing: [], learners: [], members: ACTORS.map(memberOf) };
    for (const self of ACTORS) {
      this.start(self, new MemoryStorage(new Map([[GROUP, emptyGroupDisk(membership, SUM_KIND)]])));
    }
    for (const { group } of this.nodes.values())
      for (const peer of ACTORS) if (peer !== group.self) group.onLink(peer, 'open');
  }

  group(actor: number): Group<Add, Sum> {
    const node = this.nodes.get(actorId(actor));
    assert.ok(node !== undefined);
    return node.group;
  }

  async advance(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 10) {
      for (const { clock } of this.nodes.values()) {
        clock.stall(10);
        clock.runTimers();
      }
      await this.settle();
    }
  }

  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      const due = this.inFlight.splice(0);
      for (const { from, to, message, records } of due) this.group(to).onMessage(from, message, records);
      const ran = [...this.nodes.values()].map(({ clock }) => clock.runSoon()).includes(true);
      await turn();
      quiet = due.length > 0 || ran ? 0 : quiet + 1;
    }
  }

  private start(self: ActorId, storage: MemoryStorage): void {
    const clock = new ManualClock();
    let drawn = self;
    const node = {
      self,
      settings: {
        electionTimeoutMs: 1000,
        heartbeatIntervalMs: 100,
        replicationWindow: { bytes: 1024 * 1024, messages: 16 },
      },
      cache: new CacheBudget(1024 * 1024),
      storage,
      transport: {
        send: (to: ActorId, _group: GroupId, message: Message, records: readonly LogRecord[]) =>
          this.inFlight.push({ from: self, to, message, records }) > 0,
      },
      clock,
      activeVersion: { current: 1 },
      clocks: { toleranceMs: LIMITS.clockToleranceMs, readingOf: () => undefined, steadyMs: () => 0 },
      deadlines: new Deadlines(clock, 50),
      random: () => (drawn++ % 10) / 10,
      onFatal: (error: unknown) => assert.fail(String(error)),
    };
    const group = new Group<Add, Sum>({
      node,
      group: GROUP,
      observer: new Observed(),
      kind: SUM_KIND,
      forward: (leader, command) => this.group(leader).propose(command),
    });
    this.nodes.set(self, { group, clock });
    group.start();
  }
}

test('a machine that knows nothing of events is replicated, admitted and read like a stream', async () => {
  const cluster = new SumCluster();
  await cluster.advance(3000);
  const leader = ACTORS.find((actor) => cluster.group(actor).role === 'leader');
  assert.ok(leader !== undefined);
  const follower = ACTORS.find((actor) => actor !== leader) ?? actorId(1);
  const fates = [add(leader, 30), add(leader, 40), add(leader, 50)].map((each) =>
    fateOf(cluster.group(leader).execute(each)),
  );
  const forwarded = fateOf(cluster.group(follower).submit(add(follower, 20)));
  await cluster.advance(200);
  assert.deepEqual(
    fates.map(({ state, code }) => code ?? state),
    ['resolved', 'resolved', 'INVALID_ARGUMENT'],
    'what is on its way counts',
  );
  assert.equal(forwarded.state, 'resolved');
  const confirmed = fateOf(cluster.group(follower).confirmReadIndex());
  await cluster.advance(200);
  assert.equal(confirmed.state, 'resolved');
  assert.deepEqual(
    ACTORS.map((actor) => cluster.group(actor).state.machine.total),
    [90, 90, 90],
  );
});
