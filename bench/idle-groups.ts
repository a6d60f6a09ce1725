// Usage: npm run setup && node --import tsx bench/idle-groups.ts [GROUPS…] (default: 1 200)
// Three nodes on loopback with so many groups each, all of them written to and then idle: the processor time that the
// three processes use together, as a share of one core, measured over BENCH_SECONDS (default 30) after a pause in which
// compilers and garbage collectors come to rest. Then the node that leads most is killed: how long until each group
// that it led has a leader again. One JSON object a line. Processor time hardly depends on what else runs on the
// machine; the time to a new leader does.
import { setTimeout as sleep } from 'node:timers/promises';
import { GroupCluster } from '../test/support/group-cluster.js';

const seconds = Number(process.env['BENCH_SECONDS'] ?? 30);
const SETTLE_MS = 10_000;

function print(row: object): void {
  process.stdout.write(`${JSON.stringify(row)}\n`);
}

async function measure(groups: number): Promise<void> {
  const cluster = await GroupCluster.start(groups);
  try {
    const startedMs = performance.now();
    await cluster.leaders(180_000);
    const electedMs = performance.now() - startedMs;
    for (let group = 1; group <= groups; group++) await cluster.node(1 + (group % 3)).append(group, 'an event');
    await cluster.allQuiet();
    await sleep(SETTLE_MS);
    const before = cluster.nodes.map((node) => node.cpuMs());
    const beganMs = performance.now();
    await sleep(seconds * 1000);
    const perNode = cluster.nodes.map(
      (node, position) => (node.cpuMs() - (before[position] ?? 0)) / (performance.now() - beganMs),
    );
    const percent = (share: number): number => Number((share * 100).toFixed(2));
    print({
      groups,
      idleSeconds: seconds,
      percentOfACore: percent(perNode.reduce((sum, share) => sum + share, 0)),
      perNode: perNode.map(percent),
      formedAndElectedMs: Math.round(electedMs),
    });
    await cluster.allQuiet();
    await loseANode(cluster);
  } finally {
    await cluster.close();
  }
}

async function loseANode(cluster: GroupCluster): Promise<void> {
  const leaders = [...(await cluster.leaders()).values()];
  const ledBy = (actor: number): number => leaders.filter((leader) => leader === actor).length;
  const [lost] = [...cluster.nodes].sort((a, b) => ledBy(b.actor) - ledBy(a.actor));
  if (lost === undefined) return;
  await lost.kill('SIGKILL');
  const killedMs = performance.now();
  await cluster.leaders();
  print({
    groups: cluster.groups,
    led: ledBy(lost.actor),
    allHaveALeaderAgainMs: Math.round(performance.now() - killedMs),
  });
}

const asked = process.argv.slice(2).map(Number);
for (const groups of asked.length > 0 ? asked : [1, 200]) await measure(groups);
