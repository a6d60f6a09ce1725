/**
 * Makes a checkout ready to run: installs what the lockfile says where that is
 * not what is installed, builds where the sources are not what was built, and
 * leaves the command line executable. Uses nothing but Node, says nothing when
 * there is nothing to do, and may be started twice at once.
 *
 * Progress goes to stderr: `npm pack` and scripts read stdout.
 */
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, buildState, linkCommand } from './setup/build.mjs';
import { install, installState } from './setup/install.mjs';
import { withLock } from './setup/lock.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Resolves when the checkout is ready; throws with words for the user where it can't be made so. */
export async function setup(root = ROOT, { packagesOnly = false } = {}) {
  checkNodeVersion();
  const needsBuild = () => (packagesOnly ? undefined : buildState(root));
  if (installState(root) === undefined && needsBuild() === undefined) {
    if (!packagesOnly) linkCommand(root);
    return;
  }
  await withLock(join(root, '.setup'), say, async (children) => {
    // Whoever held the lock before may have done the work.
    const missing = installState(root);
    if (missing !== undefined) {
      say(`installing packages (${missing}) …`);
      await install(root, children);
    }
    const stale = needsBuild();
    if (stale !== undefined) {
      say(`building (${stale}) …`);
      await build(root, children);
    }
    if (!packagesOnly) linkCommand(root);
  });
  say('ready');
}

function checkNodeVersion() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new Error(`Flotilla needs Node 20.19 or later; this is ${process.versions.node}`);
}

function say(message) {
  process.stderr.write(`setup: ${message}\n`);
}

/** Runs when this file is started, not when it is imported. */
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(import.meta.url))) {
  try {
    await setup(ROOT, { packagesOnly: process.argv.includes('--packages') });
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
