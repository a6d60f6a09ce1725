#!/usr/bin/env node
import { runCommandLine } from './command-line.js';

// A reader that has gone is no failure of ours: `flotilla --help | head -1`.
process.stdout.on('error', () => undefined);
const code = await runCommandLine(process.argv.slice(2));
// What was printed must be with the reader before the process ends.
await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
process.exit(code);
