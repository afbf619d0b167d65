/** Bounds how long a test waits. */

/**
 * How long a test waits for something that should happen at once, in milliseconds. It ends a test that
 * hangs, and promises nothing: a busy machine takes seconds for what takes milliseconds on a quiet one.
 */
export const PATIENCE_MS = 60_000;

/**
 * Waits for a promise, for a limited time.
 *
 * @param what the expected event, for the error
 * @param ms the limit, in milliseconds
 * @throws when the time is up, or what the promise is rejected with
 */
export async function inTime<T>(
  promise: Promise<T>,
  what: string | (() => string),
  ms = PATIENCE_MS,
): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`not within ${ms} ms: ${typeof what === "string" ? what : what()}`));
    }, ms);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
