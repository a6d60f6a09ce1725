import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { run } from './run.mjs';

const SOURCES = ['src', 'cli'];
const SETTINGS = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];

/**
 * Undefined where dist was built from the sources as they are, else why it was
 * not. Contents are compared, not times: git sets those at will, and a removed
 * file has none.
 */
export function buildState(root) {
  const stamp = join(root, 'dist', '.built-from');
  if (!existsSync(stamp)) return 'not built yet';
  return readFileSync(stamp, 'utf8') === fingerprint(root) ? undefined : 'the sources changed';
}

/**
 * Compiles beside dist and then swaps, so that dist is never half of two
 * versions, and holds nothing whose source is gone.
 */
export async function build(root, children) {
  const made = join(root, '.setup', 'dist');
  rmSync(made, { recursive: true, force: true });
  mkdirSync(made, { recursive: true });
  // Taken before the compiler reads: a file changed meanwhile is built again next time.
  const builtFrom = fingerprint(root);
  const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const code = await run(
    process.execPath,
    [compiler, '-p', join(root, 'tsconfig.build.json'), '--outDir', made, '--noEmitOnError'],
    {
      cwd: root,
      children,
    },
  );
  if (code !== 0) throw new Error('the build failed; the compiler says why above');
  await bundleCommand(root, made);
  writeFileSync(join(made, '.built-from'), builtFrom);
  const old = join(root, '.setup', 'dist-before');
  rmSync(old, { recursive: true, force: true });
  const dist = join(root, 'dist');
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(made, dist);
  rmSync(old, { recursive: true, force: true });
}

/**
 * The command as one file for what every use of it needs, and one for each
 * thing that it can do: Node takes a millisecond for each module that it loads,
 * which is a fifth of a second of a node's start.
 */
async function bundleCommand(root, made) {
  const { build: bundle } = await import(pathToFileURL(join(root, 'node_modules', 'esbuild', 'lib', 'main.js')).href);
  await bundle({
    // A thread is a program of its own, found beside the file that starts it.
    entryPoints: ['cli/main.js', 'src/node/watchdog-thread.js', 'src/grpc/batch-worker.js'].map((path) =>
      join(made, path),
    ),
    entryNames: '[name]',
    outdir: join(made, 'bin'),
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    packages: 'external',
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    logLevel: 'warning',
  });
}

/**
 * Makes `npx flotilla` find the file that package.json names. npx keeps a link
 * to it in the user's cache and never looks whether the file moved since; the
 * shell then goes on to the checkout's own node_modules/.bin.
 */
export function linkCommand(root) {
  const { bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const command = join(root, bin.flotilla);
  if (!existsSync(command)) return;
  if ((statSync(command).mode & 0o111) !== 0o111) chmodSync(command, 0o755);
  const folder = join(root, 'node_modules', '.bin');
  const target = relative(folder, command);
  const link = join(folder, 'flotilla');
  if (process.platform === 'win32' || linkTarget(link) === target) return;
  mkdirSync(folder, { recursive: true });
  // Renamed into place: another setup may be doing the same.
  const made = `${link}.${process.pid}`;
  rmSync(made, { force: true });
  symlinkSync(target, made);
  renameSync(made, link);
}

function linkTarget(link) {
  return lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() ? readlinkSync(link) : undefined;
}

function fingerprint(root) {
  const hash = createHash('sha256');
  for (const path of [...SETTINGS, ...SOURCES.flatMap((folder) => filesBelow(root, folder))]) {
    const content = readFileSync(join(root, path));
    hash.update(`${path}\0${content.byteLength}\0`).update(content);
  }
  return `${hash.digest('hex')}\n`;
}

function filesBelow(root, folder) {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true })
    .sort((one, other) => (one.name < other.name ? -1 : 1))
    .flatMap((entry) =>
      entry.isDirectory() ? filesBelow(root, `${folder}/${entry.name}`) : [`${folder}/${entry.name}`],
    );
}
