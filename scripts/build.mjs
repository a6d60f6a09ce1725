/** `npm run build`: compiles src and cli into dist, whether or not anything changed. */
import { fileURLToPath } from 'node:url';
import { build, linkCommand } from './setup/build.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
try {
  await build(root, new Set());
  linkCommand(root);
} catch (error) {
  process.stderr.write(`build: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
