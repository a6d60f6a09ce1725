#!/usr/bin/env node
import { runCommandLine } from './command-line.js';
import { watchStdout } from './output.js';

const exitCodeOf = watchStdout();
const code = await runCommandLine(process.argv.slice(2));
// What was printed must be with the reader before the process ends.
await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
process.exit(exitCodeOf(code));
