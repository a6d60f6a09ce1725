/**
 * Adds to package-lock.json the optional packages that npm left out of it.
 *
 * A package with a binary for each platform lists them all as optional
 * dependencies. Where the registry could not serve one of them when the
 * lockfile was written, npm leaves it out without a word, and `npm ci` then
 * refuses the lockfile, on every platform. Their versions are exact in the
 * package that lists them; platform and processor stand in their names. What
 * was never fetched has no checksum here.
 *
 *   node scripts/complete-lockfile.mjs    after every change of a dependency
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SYSTEMS = 'aix|android|darwin|freebsd|linux|netbsd|openbsd|sunos|win32';
const PLATFORM = new RegExp(`-(?<os>${SYSTEMS})-(?<cpu>arm64|aarch64|armv7|arm|ia32|x64)(?<musl>-musl)?$`);
const PROCESSORS = { aarch64: 'arm64', armv7: 'arm' };

const path = fileURLToPath(new URL('../package-lock.json', import.meta.url));
const lockfile = JSON.parse(readFileSync(path, 'utf8'));
const added = complete(lockfile.packages);
if (added.length > 0) {
  // In npm's own order, so that npm does not reorder it.
  lockfile.packages = Object.fromEntries(
    Object.entries(lockfile.packages).sort(([one], [other]) => one.localeCompare(other, 'en')),
  );
  writeFileSync(path, `${JSON.stringify(lockfile, null, 2)}\n`);
}
console.log(added.length === 0 ? 'package-lock.json is complete' : `added to package-lock.json: ${added.join(', ')}`);

function complete(packages) {
  const names = [];
  for (const [parent, entry] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (packages[`node_modules/${name}`] !== undefined || packages[`${parent}/node_modules/${name}`] !== undefined)
        continue;
      packages[`node_modules/${name}`] = describe(name, version, entry);
      names.push(`${name} ${version}`);
    }
  }
  return names;
}

function describe(name, version, parent) {
  const platform = PLATFORM.exec(name)?.groups;
  if (platform === undefined)
    throw new Error(`${name} names no platform: is the registry reachable? npm install writes its entry`);
  return {
    version,
    cpu: [PROCESSORS[platform.cpu] ?? platform.cpu],
    ...(parent.dev === true ? { dev: true } : {}),
    ...(platform.musl === undefined ? {} : { libc: ['musl'] }),
    ...(parent.license === undefined ? {} : { license: parent.license }),
    optional: true,
    os: [platform.os],
  };
}
