/** Holds a node's directory until it is killed. Started by node-directory.test.ts. */
import { actorId } from '../../../src/base/index.js';
import { openNodeDirectory } from '../../../src/storage/index.js';

const [dataDir = ''] = process.argv.slice(2);
await openNodeDirectory({ dataDir, actor: actorId(1), hasPeers: false });
process.stdout.write('open\n');
setInterval(() => undefined, 60_000);
