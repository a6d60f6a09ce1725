import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import { join } from 'node:path';

const PROBE_TIMEOUT_MS = 2000;
const LOG_BYTES_MAX = 16 * 1024 * 1024;
const SHOWN_LINES = 12;

/** One node as a process of its own, its output in a file. */
export class NodeProcess {
  actor;
  /** Resolves, and never rejects, when the process is gone. */
  exited;
  /** How it ended, in words; undefined while it runs. */
  exit;
  /** It ended by itself, and not well. */
  failed = false;
  #child;
  #httpPort;
  #logPath;
  #logBegin;

  constructor({ actor, httpPort, args, logFolder }) {
    this.actor = actor;
    this.#httpPort = httpPort;
    this.#logPath = join(logFolder, `node-${actor}.log`);
    const log = openLog(this.#logPath);
    this.#logBegin = statSync(this.#logPath).size;
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', log, log, 'ipc'], detached: true });
    closeSync(log);
    this.exited = new Promise((resolve) => {
      const end = (words) => {
        this.exit ??= words;
        resolve();
      };
      this.#child.once('error', (error) => end(`not started: ${error.message}`));
      this.#child.once('exit', (code, signal) => {
        this.failed = code !== null && code !== 0;
        end(signal === null ? `with exit code ${code}` : `by ${signal}`);
      });
    });
  }

  get pid() {
    return this.#child.pid;
  }

  stop() {
    if (this.exit === undefined) this.#child.kill('SIGTERM');
  }

  kill() {
    if (this.exit === undefined) this.#child.kill('SIGKILL');
  }

  /** Undefined when the node is ready, else why it is not. */
  async readiness() {
    try {
      const { status, text } = await get(`http://127.0.0.1:${this.#httpPort}/readyz`);
      return status === 200 ? undefined : text.trim();
    } catch (error) {
      return `no answer from its HTTP port ${this.#httpPort} (${error.code ?? error.message})`;
    }
  }

  /** The end of what this run logged. */
  lastLogLines() {
    const written = readFileSync(this.#logPath).subarray(this.#logBegin).toString('utf8').trimEnd();
    const lines = written === '' ? ['(nothing)'] : written.split('\n').slice(-SHOWN_LINES);
    return [`Its last log lines (${this.#logPath}):`, ...lines.map((line) => `  ${line}`)].join('\n');
  }
}

/** Not `fetch`, which refuses ports that browsers block, such as 6000. */
async function get(url) {
  const request = httpGet(url, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
  const [response] = await once(request, 'response');
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return { status: response.statusCode, text };
}

/** Appends to the last run's log; a long one becomes `.old` first. */
function openLog(path) {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_BYTES_MAX) renameSync(path, `${path}.old`);
  return openSync(path, 'a', 0o600);
}
