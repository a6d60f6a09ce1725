import { spawn } from 'node:child_process';

/**
 * Runs a program to its end and resolves to its exit code. Its output goes to
 * our stderr. `children` lists it while it runs, for the lock: an installation
 * that outlives its starter still owns the folder.
 */
export async function run(command, args, { cwd, children }) {
  const child = spawn(command, args, { cwd, stdio: ['ignore', process.stderr, process.stderr] });
  const ended = new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`${command} can't be started: ${error.message}`)));
    child.once('close', (code, signal) => resolve(code ?? `killed by ${signal}`));
  });
  children.add(child);
  try {
    return await ended;
  } finally {
    children.delete(child);
  }
}
