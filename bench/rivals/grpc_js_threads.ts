/**
 * Greets with one name on this thread and with another in a Worker, with nothing but grpc-js: the lower
 * bound for two names on two threads.
 *
 * @module
 */

const WORKER_NAME = "second";

/** The part of a Worker's global scope that is used here. */
interface Scope {
  readonly name?: string;
  onmessage: (event: MessageEvent<string[]>) => void;
  postMessage(message: string): void;
}

async function greet(port: string, name: string): Promise<void> {
  const client = await import("./grpc_js_client.ts");
  await client.greet(port, name);
}

const scope = globalThis as unknown as Scope;
if (scope.name === WORKER_NAME) {
  scope.onmessage = async ({ data: [port, name] }) => {
    await greet(port, name);
    scope.postMessage("answered");
  };
} else {
  const [port, first, second] = Deno.args.slice(-3);
  const worker = new Worker(import.meta.url, { type: "module", name: WORKER_NAME });
  const answered = new Promise((resolve) => worker.onmessage = resolve);
  worker.postMessage([port, second]);
  await greet(port, first);
  await answered;
  worker.terminate();
}
