import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { run } from './run.mjs';

/**
 * Undefined where node_modules is what the lockfile says, else why it is not.
 * npm writes node_modules/.package-lock.json as the last step of an
 * installation, so one that was interrupted shows as none at all.
 */
export function installState(root) {
  const wanted = readJson(join(root, 'package-lock.json'));
  if (wanted === undefined) throw new Error('package-lock.json is missing or damaged: restore it with git');
  const installed = readJson(join(root, 'node_modules', '.package-lock.json'));
  if (installed === undefined) return 'none are installed';
  const settled = readStamp(root) === stampFor(root);
  for (const [path, entry] of Object.entries(wanted.packages)) {
    if (path === '') continue;
    const present = installed.packages[path];
    if (present === undefined) {
      // What npm left out on purpose (another platform's binary) stays out: the stamp says that it was asked.
      if (entry.optional === true && (settled || !fitsPlatform(entry))) continue;
      return `${nameOf(path)} is missing`;
    }
    if (present.version !== entry.version || present.integrity !== entry.integrity) {
      return `${nameOf(path)} ${present.version} is not ${entry.version}`;
    }
  }
  const extra = Object.keys(installed.packages).find((path) => wanted.packages[path] === undefined);
  return extra === undefined ? undefined : `${nameOf(extra)} is no longer wanted`;
}

/**
 * `--include=dev` because NODE_ENV=production would leave the compiler out;
 * `--ignore-scripts` because no dependency needs its install script.
 */
export async function install(root, children) {
  const [command, ...first] = npmCommand();
  const code = await run(
    command,
    [...first, 'ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    {
      cwd: root,
      children,
    },
  );
  if (code !== 0)
    throw new Error('npm ci failed; its messages stand above. Packages are fetched once: is the registry reachable?');
  mkdirSync(join(root, '.setup'), { recursive: true });
  writeFileSync(stampPath(root), stampFor(root));
}

function fitsPlatform(entry) {
  // Whether a libc fits is npm's to find out; the stamp holds its answer.
  if (entry.libc !== undefined) return false;
  return allows(entry.os, process.platform) && allows(entry.cpu, process.arch);
}

function allows(list, value) {
  if (list === undefined) return true;
  if (list.includes(`!${value}`)) return false;
  return list.includes(value) || list.every((item) => item.startsWith('!'));
}

function stampPath(root) {
  return join(root, '.setup', 'installed');
}

function stampFor(root) {
  const lockfile = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  return `${lockfile} ${process.platform} ${process.arch}\n`;
}

function readStamp(root) {
  return existsSync(stampPath(root)) ? readFileSync(stampPath(root), 'utf8') : undefined;
}

function nameOf(path) {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

/** The npm that started us, else the one beside this Node, else the one in PATH. */
function npmCommand() {
  const starter = process.env.npm_execpath;
  if (starter !== undefined && /^np[mx]-cli\.js$/.test(basename(starter))) {
    return [process.execPath, join(dirname(starter), 'npm-cli.js')];
  }
  const beside = join(dirname(process.execPath), '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js');
  return existsSync(beside) ? [process.execPath, beside] : ['npm'];
}
