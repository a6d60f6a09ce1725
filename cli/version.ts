import { readFileSync } from 'node:fs';

/** This package's version: package.json stands one level up in the source, two in the build. */
export function readVersion(): string {
  for (const candidate of ['../package.json', '../../package.json']) {
    let text: string;
    try {
      text = readFileSync(new URL(candidate, import.meta.url), 'utf8');
    } catch {
      // It is the other one.
      continue;
    }
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && 'version' in parsed) return String(parsed.version);
  }
  return 'unknown';
}
