import { runServer } from '../../dist/cli/serve-process.js';
import { resolveConfig, startNode } from '../../dist/src/node/index.js';

/*
 * A node that speaks no version above the one that is named first, as a program
 * older or newer than this one would; the further arguments are those of `flotilla`, as ClusterNode
 * writes them. It is the built server, as for all other nodes of test/cluster.
 */
const [highest, ...args] = process.argv.slice(2);
const NAMES = { '-d': 'data-dir', '-p': 'port', '--actor-id': 'actor-id' };

const flags = {};
const peers = [];
for (let at = 0; at + 1 < args.length; at += 2) {
  const [name, value] = args.slice(at, at + 2);
  if (name === '--peer-addr') peers.push(value);
  else if (NAMES[name] !== undefined) flags[NAMES[name]] = value;
}
if (peers.length > 0) flags['peer-addr'] = peers;
const resolution = await resolveConfig({ flags, env: {}, readFile: () => '' });
if (!('config' in resolution)) throw new Error(resolution.problems.join('; '));
process.exit(
  await runServer(resolution.config, (...parts) =>
    startNode(...parts, { versions: { lowest: 1, highest: Number(highest) } }),
  ),
);
