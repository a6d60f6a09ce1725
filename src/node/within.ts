/** Waits for `work`, but not longer than so. */
export async function within(timeoutMs: number, work: Promise<void>): Promise<void> {
  let timeout: NodeJS.Timeout | undefined;
  const expired = new Promise<void>((resolve) => {
    timeout = setTimeout(resolve, timeoutMs);
  });
  await Promise.race([work, expired]);
  clearTimeout(timeout);
}
