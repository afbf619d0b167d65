/**
 * Files whose lock keeps other processes out; the system releases it however a process ends.
 *
 * @module
 */

/**
 * How long to wait for a lock, in milliseconds. Even a lock that was released can be held a moment
 * longer: a child process that is being started has a copy of it until it runs its program.
 */
const TIMEOUT_MS = 200;

/**
 * Locks a file, and creates it with mode 0600 if there is none.
 *
 * @returns the file, which holds the lock until it is closed; nothing if another process holds it
 *   for longer than 200 ms
 * @throws the system's error if the file cannot be opened
 */
export function lockFile(path: string): Deno.FsFile | undefined {
  const file = Deno.openSync(path, { create: true, write: true, mode: 0o600 });
  const deadline = performance.now() + TIMEOUT_MS;
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
