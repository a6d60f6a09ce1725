import { readFileSync } from 'node:fs';

/** This package's version, from its own package.json (two levels up in the source, three in the build). */
export const VERSION: string = readVersion();

function readVersion(): string {
  for (const candidate of ['../../package.json', '../../../package.json']) {
    const version = versionIn(new URL(candidate, import.meta.url));
    if (version !== undefined) return version;
  }
  throw new Error('package.json was not found above the program');
}

function versionIn(file: URL): string | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (
      typeof parsed !== 'object' ||
      parsed === null ||
      !('name' in parsed) ||
      parsed.name !== 'flotilla' ||
      !('version' in parsed)
    )
      return undefined;
    return String(parsed.version);
  } catch {
    return undefined;
  }
}
