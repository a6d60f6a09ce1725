/** What `work` resolves to; undefined where it takes longer than so. */
export async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T | undefined> {
  let timeout: NodeJS.Timeout | undefined;
  const expired = new Promise<undefined>((resolve) => {
    timeout = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([work, expired]);
  } finally {
    clearTimeout(timeout);
  }
}
