import assert from "node:assert/strict";
import { greetAll, type Outcome, serveGreeter } from "../../mod.ts";
import { inTime } from "../support/waiting.ts";

/** Counts the Workers that are started until it is disposed of. */
function countWorkers(): { started: number } & Disposable {
  const RealWorker = globalThis.Worker;
  const count = {
    started: 0,
    [Symbol.dispose]() {
      globalThis.Worker = RealWorker;
    },
  };
  globalThis.Worker = class extends RealWorker {
    constructor(...parameters: ConstructorParameters<typeof Worker>) {
      super(...parameters);
      count.started++;
    }
  };
  return count;
}

async function outcomes(all: AsyncIterable<Outcome>): Promise<Outcome[]> {
  const found = await inTime(Array.fromAsync(all), "every outcome", 60_000);
  return found.sort((a, b) => a.index - b.index);
}

const SHARES: readonly [names: number, threads: number | undefined, workers: number][] = [
  [1, undefined, 0],
  [2, undefined, Math.min(2, navigator.hardwareConcurrency) - 1],
  [3, 1, 0],
  [5, 3, 2],
  [2, 8, 1],
];

for (const [names, threads, workers] of SHARES) {
  Deno.test(`${names} clients on ${threads ?? "the default number of"} threads start ${workers} Workers`, async () => {
    await using server = await serveGreeter();
    using count = countWorkers();
    const list = Array.from({ length: names }, (_, i) => `client ${i}`);
    const found = await outcomes(greetAll(`${server.port}`, list, { threads }));
    assert.deepEqual(
      found,
      list.map((name, index) => ({ index, name, greeting: `Hello, ${name}.` })),
    );
    assert.equal(count.started, workers);
  });
}

Deno.test("a greeting that fails on a thread is an outcome with its code, and the others succeed", async () => {
  await using server = await serveGreeter();
  const found = await outcomes(greetAll(`${server.port}`, ["Bob", "", "Alice"], { threads: 2 }));
  assert.deepEqual(
    found.map((outcome) => "error" in outcome ? outcome.error.code : outcome.greeting),
    ["Hello, Bob.", "INVALID_ARGUMENT", "Hello, Alice."],
  );
});

Deno.test("a thread that crashes fails only its own clients", async () => {
  await using server = await serveGreeter();
  const RealWorker = globalThis.Worker;
  // The first Worker runs a script that throws.
  let broken = 0;
  globalThis.Worker = class extends RealWorker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(broken++ === 0 ? "data:text/javascript,throw new Error('boom')" : url, options);
    }
  };
  try {
    const found = await outcomes(greetAll(`${server.port}`, ["Bob", "Alice"], { threads: 2 }));
    assert("greeting" in found[0]);
    assert("error" in found[1] && found[1].error.code === "FAILED");
    assert.match(found[1].error.message, /a thread failed: .*boom/);
  } finally {
    globalThis.Worker = RealWorker;
  }
});

Deno.test("leaving the loop, or aborting, stops the clients", async () => {
  await using server = await serveGreeter();
  for await (const _ of greetAll(`${server.port}`, ["Bob", "Alice"], { threads: 2 })) break;
  const stop = new AbortController();
  stop.abort();
  const options = { threads: 2, signal: stop.signal };
  assert.deepEqual(await outcomes(greetAll(`${server.port}`, ["Bob", "Alice"], options)), []);
});
