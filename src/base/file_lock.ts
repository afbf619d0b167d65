/**
 * Files whose lock keeps other processes out; the system releases it however a process ends.
 *
 * @module
 */

/**
 * Locks a file, and creates it with mode 0600 if there is none. Nothing else runs while it waits.
 *
 * @param path where, in a folder that exists
 * @param timeoutMs how long to wait for the lock, in milliseconds; at least 200, because even a lock
 *   that was released can be held a moment longer: a child process that is being started has a copy
 *   of it until it runs its program
 * @returns the file, which holds the lock until it is closed; nothing if another process holds it
 *   for longer
 * @throws the system's error if the file cannot be opened
 */
export function lockFile(path: string, timeoutMs = 200): Deno.FsFile | undefined {
  const file = Deno.openSync(path, { create: true, write: true, mode: 0o600 });
  const deadline = performance.now() + timeoutMs;
  const clock = new Int32Array(new SharedArrayBuffer(4));
  while (!file.tryLockSync(true)) {
    if (performance.now() > deadline) {
      file.close();
      return undefined;
    }
    Atomics.wait(clock, 0, 0, 1);
  }
  return file;
}
