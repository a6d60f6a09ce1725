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

test('allHaveMetTheSame_andSaidSoForARound_promises', () => {
  assert.deepEqual(nextStep(round({})), { kind: 'promise', founders: [ONE, TWO] });
});

test('anotherHasMetMore_waits', () => {
  // Node 3 has called node 2 in this moment: a promise of 1 and 2 alone would leave node 2 with another set.
  const step = nextStep(round({ nodes: [node(TWO, [ONE, TWO, THREE])] }));
  assert.equal(step.kind, 'wait');
});

test('thisNodeHasSaidSoOnlyFromNowOn_waits', () => {
  // Node 2 may have looked while this node still told a larger set, and be about to promise that one.
  assert.equal(nextStep(round({ told: [ONE, TWO, THREE] })).kind, 'wait');
  assert.equal(nextStep(round({ told: [ONE] })).kind, 'wait');
});

test('silentAddress_waitsAndNamesIt', () => {
  assert.deepEqual(nextStep(round({ silent: [SILENT_THREE] })), {
    kind: 'wait',
    reasons: ['no answer from node3:1', 'if that is not to be waited for: flotilla cluster form --without node3:1'],
  });
});

test('silentAddressThatIsNotToBeWaitedFor_promisesWithoutIt', () => {
  const promise = { kind: 'promise', founders: [ONE, TWO] };
  assert.deepEqual(nextStep(round({ silent: [SILENT_THREE], without: ['node3:1'] })), promise);
  const told = { ...node(TWO, [ONE, TWO]), without: ['node3:1'] };
  assert.deepEqual(
    nextStep(round({ silent: [SILENT_THREE], nodes: [told] })),
    promise,
    'the operator has told the other one',
  );
});

test('whoAnswersAfterAll_isAFounderAsEver', () => {
  const step = nextStep(
    round({ without: ['node3:1'], nodes: [node(TWO, [ONE, TWO]), node(THREE, [ONE, TWO, THREE])] }),
  );
  assert.equal(step.kind, 'wait', 'node 2 has not met it');
});

test('asManySilentAsAreThere_neverFormWithoutThem_forTheyMightDoTheSame', () => {
  const silent = ['node3:1', 'node4:1'].map((address) => ({ address, reason: `no answer from ${address}` }));
  const step = nextStep(round({ silent, without: ['node3:1', 'node4:1'] }));
  assert.ok(step.kind === 'wait' && /no majority against the 2/.test(step.reasons.join()));
});

test('ownPromise_isNotGivenUpForAnAddressThatIsNotWaitedFor', () => {
  const all = [ONE, TWO, THREE];
  const step = nextStep(
    round({ promised: all, nodes: [node(TWO, all, all)], silent: [SILENT_THREE], without: ['node3:1'] }),
  );
  assert.deepEqual(step, { kind: 'wait', reasons: ['node 3 (node3:1) does not answer'] });
});

test('promiseOfAnotherThatIncludesThisNode_isMadeToo_evenWithAnAddressSilent', () => {
  const all = [ONE, TWO, THREE];
  const step = nextStep(round({ nodes: [node(TWO, all, all)], silent: [SILENT_THREE] }));
  assert.deepEqual(step, { kind: 'promise', founders: all });
});

test('promiseOfAnotherWithoutThisNode_waits', () => {
  const step = nextStep(round({ nodes: [node(TWO, [TWO, THREE], [TWO, THREE])] }));
  assert.ok(step.kind === 'wait' && /founds a cluster without this node/.test(step.reasons.join()));
});

test('promiseThatCountsOnALostDirectory_isRefusedWithWhatToDo', () => {
  const lost = member(1, 'a'.repeat(32));
  assert.throws(() => nextStep(round({ nodes: [node(TWO, [lost, TWO], [lost, TWO])] })), {
    code: 'FOREIGN_NODE',
    message: /if it is lost/,
  });
});

test('ownPromise_waitsForEachFoundersOwn', () => {
  const all = [ONE, TWO, THREE];
  const step = nextStep(round({ promised: all, nodes: [node(TWO, all, all), node(THREE, all)] }));
  assert.deepEqual(step, { kind: 'wait', reasons: ['node 3 (node3:1) has not agreed to the founding members yet'] });
  const done = nextStep(round({ promised: all, nodes: [node(TWO, all, all), node(THREE, all, all)] }));
  assert.deepEqual(done, { kind: 'found', founded: foundedBy(all) });
});

test('promisesThatDiffer_neverFound_andSayWhatToDo', () => {
  const step = nextStep(
    round({
      promised: [ONE, TWO, THREE],
      nodes: [node(TWO, [ONE, TWO], [ONE, TWO]), node(THREE, [], [ONE, TWO, THREE])],
    }),
  );
  assert.ok(step.kind === 'wait' && /remove their data directories/.test(step.reasons.join()));
});

test('clusterId_dependsOnActorsAndInstancesOnly', () => {
  const { clusterId } = foundedBy([TWO, ONE]);
  assert.equal(foundedBy([ONE, { ...TWO, address: 'elsewhere:9' }]).clusterId, clusterId);
  assert.notEqual(foundedBy([ONE, member(2, 'b'.repeat(32))]).clusterId, clusterId);
});

test('whoSpeaksNoVersionInCommon_isNamed_withWhomToUpgrade', () => {
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

test('successorOfItself_asksForItsSeat_alsoOnceItHasIt', () => {
  for (const seat of [member(1, FORMER.instance), ONE]) {
    assert.equal(nextStep(round({ predecessor: FORMER, nodes: [inCluster(seat)] })).kind, 'join');
  }
});

test('successorOfItself_neverFoundsAnotherCluster', () => {
  // Node 2 waits for the same: its data was damaged, too.
  const step = nextStep(round({ predecessor: FORMER }));
  assert.deepEqual(step, { kind: 'wait', reasons: [`no member of cluster ${CLUSTER} has answered yet`] });
});

test('successorOfAnother_isRefused', () => {
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
