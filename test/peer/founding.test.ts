import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actorId, type Member } from '../../src/base/index.js';
import { foundedBy, type Introduction, nextStep, type Round } from '../../src/peer/founding.js';
import { SPOKEN_VERSIONS } from '../../src/wire/index.js';

const member = (actor: number, instance = String(actor).repeat(32)): Member => ({
  actor: actorId(actor),
  instance,
  address: `node${actor}:1`,
});
const ONE = member(1);
const TWO = member(2);
const THREE = member(3);

const SILENT_THREE = { address: 'node3:1', reason: 'no answer from node3:1' };

const node = (self: Member, known: readonly Member[], promised: readonly Member[] = []): Introduction => ({
  self,
  clusterId: '',
  clusterMembers: [],
  peerAddresses: [],
  known,
  promised,
  without: [],
  versions: SPOKEN_VERSIONS,
});

const round = (changes: Partial<Round>): Round => ({
  self: ONE,
  versions: SPOKEN_VERSIONS,
  promised: undefined,
  told: [ONE, TWO],
  nodes: [node(TWO, [ONE, TWO])],
  silent: [],
  without: [],
  ...changes,
});

test('a node promises when all have met the same nodes, and said so for a round', () => {
  assert.deepEqual(nextStep(round({})), { kind: 'promise', founders: [ONE, TWO] });
});

test('a node waits while another one has met more', () => {
  // Node 3 has called node 2 in this moment: a promise of 1 and 2 alone would leave node 2 with another set.
  const step = nextStep(round({ nodes: [node(TWO, [ONE, TWO, THREE])] }));
  assert.equal(step.kind, 'wait');
});

test('a node waits until it has named the set itself for a whole round', () => {
  // Node 2 may have looked while this node still told a larger set, and be about to promise that one.
  assert.equal(nextStep(round({ told: [ONE, TWO, THREE] })).kind, 'wait');
  assert.equal(nextStep(round({ told: [ONE] })).kind, 'wait');
});

test('a node waits for a silent address, and names it', () => {
  assert.deepEqual(nextStep(round({ silent: [SILENT_THREE] })), {
    kind: 'wait',
    reasons: ['no answer from node3:1', 'if that is not to be waited for: flotilla cluster form --without node3:1'],
  });
});

test('a node promises without a silent address that is not to be waited for', () => {
  const promise = { kind: 'promise', founders: [ONE, TWO] };
  assert.deepEqual(nextStep(round({ silent: [SILENT_THREE], without: ['node3:1'] })), promise);
  const told = { ...node(TWO, [ONE, TWO]), without: ['node3:1'] };
  assert.deepEqual(
    nextStep(round({ silent: [SILENT_THREE], nodes: [told] })),
    promise,
    'the operator has told the other one',
  );
});

test('a founder that answers after all is a founder as ever', () => {
  const step = nextStep(
    round({ without: ['node3:1'], nodes: [node(TWO, [ONE, TWO]), node(THREE, [ONE, TWO, THREE])] }),
  );
  assert.equal(step.kind, 'wait', 'node 2 has not met it');
});

test('a set never forms against as many silent nodes, for these might do the same', () => {
  const silent = ['node3:1', 'node4:1'].map((address) => ({ address, reason: `no answer from ${address}` }));
  const step = nextStep(round({ silent, without: ['node3:1', 'node4:1'] }));
  assert.ok(step.kind === 'wait' && /no majority against the 2/.test(step.reasons.join()));
});

test('a node does not give up its own promise for an address that is not waited for', () => {
  const all = [ONE, TWO, THREE];
  const step = nextStep(
    round({ promised: all, nodes: [node(TWO, all, all)], silent: [SILENT_THREE], without: ['node3:1'] }),
  );
  assert.deepEqual(step, { kind: 'wait', reasons: ['node 3 (node3:1) does not answer'] });
});

test('a node makes the promise of another that includes it, even while an address is silent', () => {
  const all = [ONE, TWO, THREE];
  const step = nextStep(round({ nodes: [node(TWO, all, all)], silent: [SILENT_THREE] }));
  assert.deepEqual(step, { kind: 'promise', founders: all });
});

test('a node waits where the promise of another does not include it', () => {
  const step = nextStep(round({ nodes: [node(TWO, [TWO, THREE], [TWO, THREE])] }));
  assert.ok(step.kind === 'wait' && /founds a cluster without this node/.test(step.reasons.join()));
});

test('a promise that counts on a lost directory is refused, with what to do', () => {
  const lost = member(1, 'a'.repeat(32));
  assert.throws(() => nextStep(round({ nodes: [node(TWO, [lost, TWO], [lost, TWO])] })), {
    code: 'FOREIGN_NODE',
    message: /if it is lost/,
  });
});

test("a node that has promised waits for each founder's own promise", () => {
  const all = [ONE, TWO, THREE];
  const step = nextStep(round({ promised: all, nodes: [node(TWO, all, all), node(THREE, all)] }));
  assert.deepEqual(step, { kind: 'wait', reasons: ['node 3 (node3:1) has not agreed to the founding members yet'] });
  const done = nextStep(round({ promised: all, nodes: [node(TWO, all, all), node(THREE, all, all)] }));
  assert.deepEqual(done, { kind: 'found', founded: foundedBy(all) });
});

test('promises that differ never found a cluster, and the node says what to do', () => {
  const step = nextStep(
    round({
      promised: [ONE, TWO, THREE],
      nodes: [node(TWO, [ONE, TWO], [ONE, TWO]), node(THREE, [], [ONE, TWO, THREE])],
    }),
  );
  assert.ok(step.kind === 'wait' && /remove their data directories/.test(step.reasons.join()));
});

test('the cluster id depends on actors and instances only', () => {
  const { clusterId } = foundedBy([TWO, ONE]);
  assert.equal(foundedBy([ONE, { ...TWO, address: 'elsewhere:9' }]).clusterId, clusterId);
  assert.notEqual(foundedBy([ONE, member(2, 'b'.repeat(32))]).clusterId, clusterId);
});

test('nodes that speak no version in common are named, with the one to upgrade', () => {
  const lowest = SPOKEN_VERSIONS.highest + 1;
  const newer = { ...node(TWO, [ONE, TWO]), versions: { lowest, highest: lowest + 1 } };
  assert.throws(() => nextStep(round({ nodes: [newer] })), {
    code: 'UPGRADE_NEEDED',
    message: new RegExp(`node2:1 speaks protocol ${lowest}-${lowest + 1}.*upgrade this node`),
  });
});

const CLUSTER = 'c'.repeat(32);
const FORMER = { clusterId: CLUSTER, instance: '9'.repeat(32) };
const inCluster = (seatOfOne: Member, clusterId = CLUSTER): Introduction => ({
  ...node(TWO, [TWO]),
  clusterId,
  clusterMembers: [seatOfOne, TWO, THREE],
});

test('a successor of this node asks for its seat, also once it has it', () => {
  for (const seat of [member(1, FORMER.instance), ONE]) {
    assert.equal(nextStep(round({ predecessor: FORMER, nodes: [inCluster(seat)] })).kind, 'join');
  }
});

test('a successor of this node never founds another cluster', () => {
  // Node 2 waits for the same: its data was damaged, too.
  const step = nextStep(round({ predecessor: FORMER }));
  assert.deepEqual(step, { kind: 'wait', reasons: [`no member of cluster ${CLUSTER} has answered yet`] });
});

test('a successor in another cluster is refused', () => {
  assert.throws(() => nextStep(round({ predecessor: FORMER, nodes: [inCluster(member(1, '8'.repeat(32)))] })), {
    code: 'FOREIGN_NODE',
    message: /actor id 1 is taken/,
  });
  assert.throws(
    () => nextStep(round({ predecessor: FORMER, nodes: [inCluster(member(1, FORMER.instance), 'd'.repeat(32))] })),
    {
      code: 'FOREIGN_NODE',
      message: /name peers of that one/,
    },
  );
});
