import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { DEADLINE_MS, until } from './until.js';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const packageJson = v.object({ bin: v.object({ flotilla: v.string() }) });

/** The built command that package.json names: what users run. `npm test` builds it first. */
export const COMMAND = join(
  ROOT,
  v.parse(packageJson, JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))).bin.flotilla,
);

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface CommandResult extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly input?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly uid?: number;
  /** Where it still runs then it is killed, and the test fails. */
  readonly timeoutMs?: number;
}

/**
 * The environment without what belongs to the user's own cluster, and without
 * what tells a node that npm has started it.
 */
export function plainEnvironment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !/^(FLOTILLA_|npm_|NODE_TEST_CONTEXT$|NODE_CHANNEL)/i.test(name),
  );
  return { ...Object.fromEntries(own), ...extra };
}

const living = new Set<CommandProcess>();

/** Ends what a failed test left running, so that the run can end. */
export async function killCommands(): Promise<void> {
  for (const command of living) command.kill('SIGKILL');
  await Promise.all([...living].map((command) => command.ended));
}

/** A program under way, with what it has said so far. */
export class CommandProcess {
  stdout = '';
  stderr = '';
  exit: Exit | undefined;
  readonly ended: Promise<Exit>;
  private readonly child: ChildProcess;

  constructor(program: string, args: readonly string[], options: CommandOptions = {}) {
    const { cwd, uid, env = {} } = options;
    this.child = spawn(program, args, {
      env: plainEnvironment(env),
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(cwd === undefined ? {} : { cwd }),
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    living.add(this);
    // A command line that is wrong does not read its input.
    this.child.stdin?.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      const end = (exit: Exit): void => {
        this.exit ??= exit;
        living.delete(this);
        resolve(this.exit);
      };
      this.child.once('error', (error) => {
        this.stderr += error.message;
        end({ code: null, signal: null });
      });
      this.child.once('close', (code, signal) => end({ code, signal }));
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  write(text: string): void {
    this.child.stdin?.write(text);
  }

  endInput(input: string | Uint8Array = ''): void {
    this.child.stdin?.end(input);
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Waits until stdout holds `pattern`, or is what it says from its begin to its end. */
  async says(pattern: RegExp | string): Promise<void> {
    const said = (): boolean => (typeof pattern === 'string' ? this.stdout === pattern : pattern.test(this.stdout));
    const state = (): string => `${JSON.stringify(this.exit)}\n${this.stdout}\n${this.stderr}`;
    await until(`it says ${String(pattern)}`, () => said() || this.exit !== undefined, { state });
    assert.ok(said(), `it ended and never said ${String(pattern)}: ${state()}`);
  }

  async result(timeoutMs = DEADLINE_MS): Promise<CommandResult> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.kill('SIGKILL');
    }, timeoutMs);
    const exit = await this.ended;
    clearTimeout(timer);
    assert.ok(!late, `it did not end within ${timeoutMs} ms\n${this.stdout.slice(-2000)}\n${this.stderr.slice(-2000)}`);
    return { ...exit, stdout: this.stdout, stderr: this.stderr };
  }
}

export function startFlotilla(args: readonly string[], options: CommandOptions = {}): CommandProcess {
  return new CommandProcess(process.execPath, [COMMAND, ...args], options);
}

/** Runs the command line to its end. */
export async function flotilla(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const command = startFlotilla(args, options);
  command.endInput(options.input);
  return await command.result(options.timeoutMs);
}
