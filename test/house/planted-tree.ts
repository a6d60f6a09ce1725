import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(fileURLToPath(new URL('../..', import.meta.url)));
const SETTINGS = ['package.json', 'tsconfig.json', 'tsconfig.pure.json', 'biome.json', '.dependency-cruiser.cjs'];

/** A house in good order. */
const CLEAN: Readonly<Record<string, string>> = {
  'src/base/index.ts': "export * from './limits.js';\n",
  'src/base/limits.ts': 'export const LIMITS = { queueLength: 10 };\n',
  'src/event/index.ts': "import { LIMITS } from '../base/index.js';\n\nexport const capacity = LIMITS.queueLength;\n",
  'src/raft/index.ts':
    "export { capacity } from '../event/index.js';\nexport const birth = (timestampMs: number): Date => new " +
    'Date(timestampMs);\n',
  'src/machine/index.ts': 'export const applied = 0;\n',
  'src/wire/index.ts': "import { Packr } from 'msgpackr';\n\nexport const packr = new Packr();\n",
  'src/rpc/index.ts': "export { Server } from '@grpc/grpc-js';\n",
  'src/group/index.ts': "export { capacity } from '../raft/index.js';\n",
  'src/storage/index.ts':
    "import { readFile } from 'node:fs/promises';\nimport { capacity } from '../group/index.js';\n\n" +
    'export async function load(path: string): Promise<number> {\n  return (await readFile(path)).byteLength ' +
    '+ capacity;\n}\n',
  'src/client/index.ts': "export { packr } from '../wire/index.js';\n",
  'src/offline/index.ts': "export { load as inspect } from '../storage/index.js';\n",
  'src/node/index.ts': "export { load } from '../storage/index.js';\n",
  'cli/main.ts': "import { load } from '../src/node/index.js';\n\nexport const bytes = await load('/dev/null');\n",
};

export interface PlantedTree {
  /** The folder of the house itself. */
  readonly root: string;
  readonly tree: string;
  readonly plant: (path: string, content: string) => void;
  readonly remove: (path: string) => void;
}

/** A small tree under the house's own settings, for the tests of one file to plant violations in. */
export function plantedTree(): PlantedTree {
  const tree = mkdtempSync(join(tmpdir(), 'flotilla-violations-'));
  const plant = (path: string, content: string): void => {
    mkdirSync(join(tree, dirname(path)), { recursive: true });
    writeFileSync(join(tree, path), content);
  };
  before(() => {
    for (const file of SETTINGS) copyFileSync(join(ROOT, file), join(tree, file));
    symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
    for (const [path, content] of Object.entries(CLEAN)) plant(path, content);
  });
  after(() => rmSync(tree, { recursive: true, force: true }));
  return { root: ROOT, tree, plant, remove: (path) => rmSync(join(tree, path)) };
}
