import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { FlotillaError, LIMITS, present } from '../../../src/base/index.js';
import { Hosts } from '../../../src/client/connection/hosts.js';
import { LinkKeeper } from '../../../src/client/produce/link-keeper.js';
import type { ProduceLink } from '../../../src/client/produce/produce-link.js';

const REFUSED = new FlotillaError('SHUTTING_DOWN', 'the node is stopping');

class FakeLink implements ProduceLink {
  readonly address: string;
  endedWith: FlotillaError | undefined;
  closed = false;

  constructor(address: string) {
    this.address = address;
  }

  readonly send = (): void => undefined;

  close(): void {
    this.closed = true;
  }
}

/** A keeper whose connections stand, and whose time passes, when the test says so. */
class Scene {
  readonly dialled: {
    readonly address: string;
    readonly stand: (link: FakeLink) => void;
    readonly fail: (error: FlotillaError) => void;
  }[] = [];
  readonly tick: (ms: number) => void;
  private readonly hosts: Hosts;
  readonly keeper: LinkKeeper;

  constructor({ mock }: TestContext, ...hosts: string[]) {
    mock.timers.enable({ apis: ['setTimeout'] });
    this.tick = (ms) => mock.timers.tick(ms);
    this.hosts = new Hosts(hosts);
    const nothing = (): void => undefined;
    this.keeper = new LinkKeeper(
      {
        hosts: this.hosts,
        openLink: (address) =>
          new Promise((resolve, reject) => this.dialled.push({ address, stand: resolve, fail: reject })),
        followLeader: true,
        connectTimeoutMs: 1000,
        onReady: () => this.keeper.want(),
        onFailedAttempt: nothing,
        onRefused: nothing,
        onUnreachable: nothing,
      },
      { onReceipt: nothing, onFailure: nothing, onLeader: nothing, onEnd: nothing },
    );
  }

  get addresses(): string[] {
    return this.dialled.map(({ address }) => address);
  }

  /** A connection attempt succeeds, the latest where nothing else is said. */
  async stands(attempt = -1): Promise<FakeLink> {
    const { address, stand } = present(this.dialled.at(attempt), 'something was dialled');
    const link = new FakeLink(address);
    stand(link);
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
    return link;
  }

  /** The latest connection attempt fails. */
  async fails(): Promise<void> {
    present(this.dialled.at(-1), 'something was dialled').fail(REFUSED);
    for (let turn = 0; turn < 5; turn++) await Promise.resolve();
  }

  async opened(): Promise<FakeLink> {
    this.keeper.want();
    const link = await this.stands();
    assert.equal(this.keeper.open, link);
    this.keeper.succeeded();
    return link;
  }
}

test('a node that refuses is left for the next at once, and with patience after that', async (context) => {
  const scene = new Scene(context, 'a:1', 'b:1', 'c:1');
  const first = await scene.opened();
  scene.keeper.leave(first, REFUSED);
  scene.keeper.changeOver();
  scene.tick(0);
  assert.deepEqual(scene.addresses, ['a:1', 'b:1']);
  const second = await scene.stands();
  scene.keeper.leave(second, REFUSED);
  scene.keeper.changeOver();
  scene.tick(0);
  assert.deepEqual(scene.addresses, ['a:1', 'b:1']);
  scene.tick(LIMITS.clientBackoffMaxMs);
  assert.deepEqual(scene.addresses, ['a:1', 'b:1', 'c:1']);
});

test('the only node there is gets its pause', async (context) => {
  const scene = new Scene(context, 'a:1');
  const link = await scene.opened();
  scene.keeper.lost(link, REFUSED);
  scene.tick(0);
  assert.deepEqual(scene.addresses, ['a:1']);
  scene.tick(LIMITS.clientBackoffMaxMs);
  assert.deepEqual(scene.addresses, ['a:1', 'a:1']);
});

for (const state of ['drains', 'pauses', 'connects elsewhere'] as const) {
  test(`its node refuses while the leader's link opens, and it ${state}: it goes to the leader`, async (context) => {
    const scene = new Scene(context, 'a:1', 'c:1', 'b:1');
    const link = await scene.opened();
    scene.keeper.leaderKnown(link, 'b:1');
    scene.keeper.leave(link, REFUSED);
    if (state !== 'drains') scene.keeper.changeOver();
    if (state === 'connects elsewhere') scene.tick(0);
    const leader = await scene.stands(1);
    if (state === 'drains') scene.keeper.changeOver();
    assert.equal(scene.keeper.open, leader);
    assert.equal(link.closed, true);
    scene.tick(LIMITS.clientListenMs);
    assert.deepEqual(scene.addresses, state === 'connects elsewhere' ? ['a:1', 'b:1', 'c:1'] : ['a:1', 'b:1']);
    if (state === 'connects elsewhere')
      assert.equal((await scene.stands(2)).closed, true, 'the other one is of no use any more');
    assert.equal(scene.keeper.open, leader);
    assert.equal(leader.closed, false);
  });
}

test('its node is lost while it changes over: the link that stands already is taken', async (context) => {
  const scene = new Scene(context, 'a:1', 'b:1');
  const link = await scene.opened();
  scene.keeper.leaderKnown(link, 'b:1');
  const leader = await scene.stands();
  assert.equal(scene.keeper.draining, true);
  scene.keeper.lost(link, REFUSED);
  assert.equal(scene.keeper.open, leader);
});

test('a leader that could not be reached is not tried again, until it leads anew', async (context) => {
  const scene = new Scene(context, 'a:1');
  const link = await scene.opened();
  scene.keeper.leaderKnown(link, 'b:1');
  await scene.fails();
  scene.keeper.leaderKnown(link, 'b:1');
  assert.deepEqual(scene.addresses, ['a:1', 'b:1']);
  scene.keeper.leaderKnown(link, 'a:1');
  scene.keeper.leaderKnown(link, 'b:1');
  assert.deepEqual(scene.addresses, ['a:1', 'b:1', 'b:1']);
});
