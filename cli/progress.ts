/** Nothing is shown of what ends sooner. */
const HIDDEN_MS = 500;
const PERIOD_MS = 1000;

/**
 * Shows on a terminal that `work` is still under way, and for how long: one line
 * on stderr, which is gone when the work has ended. Elsewhere nothing is shown.
 * `doing` may tell how far it is.
 */
export async function withProgress<Result>(doing: string | (() => string), work: Promise<Result>): Promise<Result> {
  const { stderr } = process;
  if (stderr.isTTY !== true) return await work;
  const begunMs = performance.now();
  let shown = false;
  const show = (): void => {
    const passedMs = performance.now() - begunMs;
    if (passedMs < HIDDEN_MS) return;
    shown = true;
    stderr.write(`\r\x1b[K${typeof doing === 'string' ? doing : doing()} … ${Math.round(passedMs / 1000)} s`);
  };
  const timer = setInterval(show, PERIOD_MS);
  try {
    return await work;
  } finally {
    clearInterval(timer);
    if (shown) stderr.write('\r\x1b[K');
  }
}
