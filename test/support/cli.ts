import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

/** The built command, as a user has it: to compile it anew for each of a hundred runs takes longer than they do. */
const COMMAND = fileURLToPath(new URL('../../cli/flotilla.cjs', import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stdoutBytes: Buffer;
  readonly stderr: string;
}

export interface CliOptions {
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts the command line in a process of its own, with nothing of the user's FLOTILLA_… settings. */
export function startCli(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcessByStdio<Writable, Readable, Readable> {
  return spawn(process.execPath, commandLineOf(args), { env: environmentWith(env), stdio: ['pipe', 'pipe', 'pipe'] });
}

const commandLineOf = (args: readonly string[]): string[] => [COMMAND, ...args];

function environmentWith(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('FLOTILLA_')));
  return { ...inherited, ...env };
}

/** Runs the command line to its end, with something else than a pipe for its stdout. */
export async function runCliInto(stdout: number, args: readonly string[]): Promise<Pick<CliResult, 'code' | 'stderr'>> {
  const child = spawn(process.execPath, commandLineOf(args), {
    env: environmentWith({}),
    stdio: ['ignore', stdout, 'pipe'],
  });
  const stderr: Buffer[] = [];
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stderr: Buffer.concat(stderr).toString() };
}

/** Runs the command line to its end. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const child = startCli(args, options.env);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A command line that is wrong does not read its input.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin ?? '');
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  const stdoutBytes = Buffer.concat(stdout);
  return { code, stdout: stdoutBytes.toString(), stdoutBytes, stderr: Buffer.concat(stderr).toString() };
}
