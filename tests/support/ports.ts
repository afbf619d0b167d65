/**
 * Chooses ports for programs that must know each other's, so that test files that run at the same
 * time, in one process or several, never choose the same.
 *
 * Each test file owns a block of ports as long as it runs: it holds the first port of the block open,
 * so the system itself decides who gets the block and frees it when the file ends.
 *
 * @module
 */

/** Below the ports that Linux, macOS and Windows give to outgoing connections and to port 0. */
const FIRST = 10_000;
const END = 32_000;
const BLOCK = 100;

const start = claimBlock();
let next = 0;

/** Holds the first port of a block open for the life of this test file. Returns that port. */
function claimBlock(): number {
  const blocks = (END - FIRST) / BLOCK;
  const first = Math.floor(Math.random() * blocks);
  for (let i = 0; i < blocks; i++) {
    const port = FIRST + (first + i) % blocks * BLOCK;
    const listener = listen(port);
    if (listener === undefined) continue;
    listener.unref();
    return port;
  }
  throw new Error(`all ports from ${FIRST} to ${END} are in use`);
}

/** Listens on a port of loopback, unless it is in use or reserved. */
function listen(port: number): Deno.Listener | undefined {
  try {
    return Deno.listen({ hostname: "127.0.0.1", port });
  } catch {
    return undefined;
  }
}

/** Returns two different free ports, or as many as are asked for. */
export function freePorts(): [string, string];
export function freePorts(count: number): string[];
export function freePorts(count = 2): string[] {
  const ports: string[] = [];
  for (let tried = 0; ports.length < count; tried++) {
    if (tried === BLOCK - 1) {
      throw new Error(`fewer than ${count} of the ports from ${start} are free`);
    }
    next = next % (BLOCK - 1) + 1;
    const listener = listen(start + next);
    if (listener === undefined) continue;
    listener.close();
    ports.push(`${start + next}`);
  }
  return ports;
}
