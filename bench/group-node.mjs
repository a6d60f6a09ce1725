// One node of the built server that hosts many Raft groups, in a process of its own: what no command line offers yet,
// for test/support/group-cluster.ts. Its wiring, links and storage are the server's. Told what to be by one JSON
// argument, and asked over IPC.
import { appendFileSync } from 'node:fs';
import { createLogging, createMetrics, resolveConfig, startNode } from '../dist/src/node/index.js';
import { packBody } from '../dist/src/wire/index.js';

const { dataDir, logPath, actor, port, peers, groups } = JSON.parse(process.argv[2]);

const flags = {
  'data-dir': dataDir,
  'actor-id': String(actor),
  port: String(port),
  'peer-addr': peers,
  'log-dest': logPath,
};
const { config, problems } = await resolveConfig({ flags, env: {}, readFile: () => '' });
if (config === undefined) throw new Error(problems.join('; '));
const logging = createLogging({
  levels: config.logLevels,
  destination: config.logDestination,
  actor,
  onDrop: () => appendFileSync(logPath, 'lines were dropped\n'),
});
const node = await startNode(config, logging, createMetrics(), { furtherGroups: groups - 1 });

const streamOf = (group) => node.streams.get(group);

const answers = {
  status: () =>
    [...(node.streams?.all ?? [])].map(({ group: { id, role, leader, term, commitIndex, isQuiesced } }) => ({
      group: id,
      role,
      leader,
      term,
      commitIndex,
      isQuiesced,
    })),
  confirm: async ({ group }) => Number(await streamOf(group).group.confirmReadIndex()),
  append: async ({ group, data }) => {
    const { firstCounter } = await streamOf(group).submit(packBody([{ namespace: '/group', data: Buffer.from(data) }]));
    return Number(firstCounter);
  },
};

process.on('message', async ({ id, ask, ...rest }) => {
  try {
    process.send({ id, value: await answers[ask](rest) });
  } catch (error) {
    process.send({ id, error: error.code ?? String(error) });
  }
});
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', async () => {
  await node.stop('SIGTERM');
  process.exit(0);
});
void node.stopped.then(({ error }) => {
  if (error !== undefined) process.exit(1);
});
