/**
 * Usage: npm run damage -- [three|one] [--only PATTERN]
 *
 * three  one node of three (default): it is whole again by itself, and no client is ever given a wrong event, or one
 * too few
 *   one    a cluster of one: it refuses, and says what, or it serves exactly what is right
 *
 * For every kind of file that a node has, and every kind of damage. `--only` takes the cases whose name a regular
 * expression matches. Ends with 1 where a case failed; its data are kept then.
 */
import { parseArgs } from 'node:util';
import { DAMAGE_CASES } from './damage/cases.js';
import { damageTheOnlyOne } from './damage/one-node.js';
import { Table } from './damage/table.js';
import { damageOneOfThree } from './damage/three-nodes.js';

const { values, positionals } = parseArgs({
  options: { only: { type: 'string', default: '' } },
  allowPositionals: true,
});
const [shape = 'three'] = positionals;
const run = { three: damageOneOfThree, one: damageTheOnlyOne }[shape];
if (run === undefined) {
  process.stderr.write('usage: npm run damage -- [three|one] [--only PATTERN]\n');
  process.exit(2);
}
const pattern = new RegExp(values.only);
const table = new Table();
await run(
  DAMAGE_CASES.filter(({ name }) => pattern.test(name)),
  table,
);
table.print(shape === 'one' ? 'damage in a cluster of one' : 'damage in one node of three');
process.exit(table.failed ? 1 : 0);
