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
  const found = await inTime(Array.fromAsync(all), "every outcome");
  return found.sort((a, b) => a.index - b.index);
}

const SHARES: readonly [names: number, threads: number | undefined, workers: number][] = [
  [1, undefined, 0],
  [2, undefined, 1],
  [3, 1, 0],
  [5, 3, 2],
  [2, 8, 1],
];

for (const [names, threads, workers] of SHARES) {
  Deno.test(`${names} clients on ${threads ?? "the default number of"} threads start ${workers} Workers`, async () => {
    await using server = await serveGreeter();
    using count = countWorkers();
    const list = Array.from({ length: names }, (_, i) => `client ${i}`);
    const found = await outcomes(greetAll(`${server.port}`, list, { threads, maxTime: 60 }));
    assert.deepEqual(
      found,
      list.map((name, index) => ({ index, name, greeting: `Hello, ${name}.` })),
    );
    assert.equal(count.started, workers);
  });
}

Deno.test("two names are greeted on two threads, also where there is one core", async () => {
  await using server = await serveGreeter();
  using count = countWorkers();
  const real = Object.getOwnPropertyDescriptor(Navigator.prototype, "hardwareConcurrency")!;
  Object.defineProperty(Navigator.prototype, "hardwareConcurrency", { ...real, get: () => 1 });
  try {
    await outcomes(greetAll(`${server.port}`, ["Bob", "Alice", "Carol"], { maxTime: 60 }));
  } finally {
    Object.defineProperty(Navigator.prototype, "hardwareConcurrency", real);
  }
  assert.equal(count.started, 1);
});

Deno.test("a greeting that fails on a thread is an outcome with its code, and the others succeed", async () => {
  await using server = await serveGreeter();
  const found = await outcomes(greetAll(`${server.port}`, ["Bob", "", "Alice"], { threads: 2 }));
  assert.deepEqual(
    found.map((outcome) => "error" in outcome ? outcome.error.code : outcome.greeting),
    ["Hello, Bob.", "INVALID_ARGUMENT", "Hello, Alice."],
  );
});

/** The error that a client gets whose thread runs a script instead of greeting. */
const BROKEN_THREADS: Record<string, { script: string; code: string; message: RegExp }> = {
  "throws at once": {
    script: "throw new Error('boom')",
    code: "FAILED",
    message: /^a thread failed: .*boom$/,
  },
  "throws later": {
    script: "setTimeout(() => { throw new Error('boom') }, 50)",
    code: "FAILED",
    message: /^a thread failed: .*boom$/,
  },
  "leaves a rejection unhandled": {
    script: "onmessage = () => void Promise.reject(new Error('boom'))",
    code: "FAILED",
    message: /^a thread failed: .*boom$/,
  },
  "ends without a word": {
    script: "close()",
    code: "DEADLINE_EXCEEDED",
    message: /^no answer within 4 s$/,
  },
  "exits": {
    script: "onmessage = () => Deno.exit(3)",
    code: "DEADLINE_EXCEEDED",
    message: /^no answer within 4 s$/,
  },
  "never ends": {
    script: "for (;;);",
    code: "DEADLINE_EXCEEDED",
    message: /^no answer within 4 s$/,
  },
  ...Object.fromEntries(
    [
      "null",
      "'Hello, Alice.'",
      "{}",
      "{ index: 1 }",
      "{ index: 1, greeting: 5 }",
      "{ index: 1, error: null }",
      "{ index: 0, greeting: 'Hello, Bob.' }",
      "{ index: 7, greeting: 'Hello, Mallory.' }",
    ].map((garbage) => [`reports ${garbage}`, {
      script: `onmessage = () => setTimeout(() => postMessage(${garbage}), 300)`,
      code: "FAILED",
      message: /^a thread failed: it reported something unexpected$/,
    }]),
  ),
};

/** Replaces what Workers run until it is disposed of. */
function workersRun(start: (url: string | URL) => string | URL): Disposable {
  const RealWorker = globalThis.Worker;
  globalThis.Worker = class extends RealWorker {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(start(url), options);
    }
  };
  return {
    [Symbol.dispose]() {
      globalThis.Worker = RealWorker;
    },
  };
}

for (const [what, { script, code, message }] of Object.entries(BROKEN_THREADS)) {
  Deno.test(`a thread that ${what} is an error of its own clients, in time`, async () => {
    await using server = await serveGreeter();
    using _ = workersRun(() => `data:text/javascript,${encodeURIComponent(script)}`);
    const options = { threads: 2, maxTime: 4 };
    const found = await outcomes(greetAll(`${server.port}`, ["Bob", "Alice"], options));
    assert.deepEqual(found.map(({ index, name }) => [index, name]), [[0, "Bob"], [1, "Alice"]]);
    const [bob, alice] = found;
    assert.equal("greeting" in bob && bob.greeting, "Hello, Bob.");
    assert("error" in alice);
    assert.equal(alice.error.code, code);
    assert.match(alice.error.message, message);
  });
}

Deno.test("a thread that cannot be started is an error of its own clients", async () => {
  await using server = await serveGreeter();
  using _ = workersRun(() => {
    throw new Deno.errors.NotCapable('Requires read access to "x", run again with --allow-read');
  });
  const found = await outcomes(greetAll(`${server.port}`, ["Bob", "Alice"], { threads: 2 }));
  assert.deepEqual(
    found.map((outcome) => "error" in outcome ? outcome.error.message : outcome.greeting),
    ["Hello, Bob.", 'a thread cannot be started: read access to "x" is not allowed'],
  );
});

Deno.test("a thread that crashes leaves the others alone", async () => {
  await using server = await serveGreeter();
  let started = 0;
  using _ = workersRun((url) => started++ === 0 ? "data:text/javascript,throw new Error()" : url);
  const list = ["Bob", "Alice", "Carol"];
  const found = await outcomes(greetAll(`${server.port}`, list, { threads: 3 }));
  assert.deepEqual(found.map((outcome) => "greeting" in outcome), [true, false, true]);
});

Deno.test("a signal ends the clients at once, although a thread does not stop", async () => {
  await using server = await serveGreeter();
  using _ = workersRun(() => "data:text/javascript,for(;;);");
  const stop = new AbortController();
  const options = { threads: 2, maxTime: 600, signal: stop.signal };
  const found: Outcome[] = [];
  const greeted = async () => {
    for await (const outcome of greetAll(`${server.port}`, ["Bob", "Alice"], options)) {
      found.push(outcome);
      stop.abort();
    }
  };
  await inTime(greeted(), "the end");
  assert.deepEqual(found.map(({ name }) => name), ["Bob"]);
});

Deno.test("leaving the loop, or aborting, stops the clients", async () => {
  await using server = await serveGreeter();
  for await (const _ of greetAll(`${server.port}`, ["Bob", "Alice"], { threads: 2 })) break;
  const stop = new AbortController();
  stop.abort();
  const options = { threads: 2, signal: stop.signal };
  assert.deepEqual(await outcomes(greetAll(`${server.port}`, ["Bob", "Alice"], options)), []);
});
