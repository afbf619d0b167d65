/**
 * Many clients at once, on several threads.
 *
 * {@link greetAll} deals names out to Workers and yields their outcomes as they arrive. Each Worker
 * runs this same file, so a compiled binary needs no second entry point. A thread that fails in any
 * way is an error of its own clients.
 *
 * @module
 */
import { GreetError, type PlainError } from "../base/errors.ts";
import { pause, within } from "../base/timing.ts";
import type { GreetOptions } from "./client.ts";
import { type Destination, parseDestination } from "./destination.ts";
import type { Names } from "../naming/names.ts";
import type { Naming } from "../naming/open.ts";
import {
  type Client,
  DEFAULT_MAX_TIME,
  type Outcome,
  Outcomes,
  type PlainOutcome,
} from "./outcomes.ts";
import type { ClientTls } from "../rpc/credentials.ts";

/** How to greet with several names. */
export interface GreetAllOptions extends Omit<GreetOptions, "names"> {
  /** A naming service: the target may then be a name. Each thread opens its own connection. */
  naming?: Naming;
  /**
   * The number of threads (default: one for each name, up to the number of cores, but at least
   * two). The first is the current thread; each further one is a Worker, which takes 70 ms to
   * start.
   */
  threads?: number;
}

/** One thread's share of the work, as plain data. */
interface Job {
  readonly destination: Destination<Naming>;
  readonly clients: readonly Client[];
  readonly options: {
    readonly maxTime?: number;
    readonly wait?: boolean;
    readonly tls?: ClientTls;
  };
}

/** What a Worker reports: the outcome of one greeting, or an error that ends all of its greetings. */
type Report = PlainOutcome | { readonly failed: PlainError };

/** How late outcomes may be, in milliseconds, before their greetings are given up. */
const GRACE_MS = 1_000;

/** How long a Worker may take to start, in milliseconds; many of them wait for each other. */
const START_MS = 500;

/** How long the threads may take to stop, in milliseconds. */
const STOP_MS = 1_000;

/**
 * Greets a server once for each name, all at the same time.
 *
 * @param target a port, `host:port` or any other target; with {@link GreetAllOptions.naming}, also
 *   a name
 * @param names the names to be greeted by
 * @param options threads, deadline, naming service and TLS
 * @returns the outcomes in the order in which they arrive, failures included. Ends after the last
 *   one, or when the signal is aborted
 * @throws {GreetError} `USAGE` for an invalid target or naming service
 *
 * @example
 * ```ts
 * import { greetAll, serveGreeter } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * await using server = await serveGreeter();
 * const greetings = new Set<string>();
 * for await (const outcome of greetAll(`${server.port}`, ["Bob", "Alice"])) {
 *   if ("greeting" in outcome) greetings.add(outcome.greeting);
 * }
 * assert.deepEqual(greetings, new Set(["Hello, Bob.", "Hello, Alice."]));
 * ```
 */
export async function* greetAll(
  target: string,
  names: readonly string[],
  options: GreetAllOptions = {},
): AsyncGenerator<Outcome> {
  yield* greetOnThreads(parseDestination(target, options.naming), names, options);
}

/** Like {@link greetAll}, with a destination that has been parsed. */
export async function* greetOnThreads(
  destination: Destination<Naming>,
  names: readonly string[],
  options: Omit<GreetAllOptions, "naming"> = {},
): AsyncGenerator<Outcome> {
  const { threads = defaultThreads(), maxTime = DEFAULT_MAX_TIME, wait, tls } = options;
  // An invalid naming service must be reported before any thread starts.
  await using owner = new AsyncDisposableStack();
  const opened = await open(destination, owner);
  const clients = names.map((name, index): Client => ({ index, name }));
  const outcomes = new Outcomes(clients);
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, ...options.signal ? [options.signal] : []]);
  signal.addEventListener("abort", () => outcomes.end());
  if (signal.aborted) return;
  const [own, ...others] = shareOut(clients, threads)
    .map((clients): Job => ({ destination, clients, options: { maxTime, wait, tls } }));
  const limitMs = maxTime * 1_000 + GRACE_MS + others.length * START_MS;
  const running = Promise.all([
    // The Workers load their modules while this thread loads its own.
    ...others.map((job) => orFail(job, outcomes, runInWorker(job, outcomes, signal))),
    orFail(own, outcomes, runClients(own, opened, (outcome) => outcomes.add(outcome), signal)),
    giveUp(limitMs, signal).then(() => outcomes.fail(clients, overdue(maxTime))),
  ]);
  try {
    yield* outcomes;
  } finally {
    stop.abort();
    await within(STOP_MS, running);
  }
}

/** Clients with different names run on different threads, also where there is only one core. */
function defaultThreads(): number {
  return Math.max(2, navigator.hardwareConcurrency);
}

/** Waits until a job is done; if it fails, so do those of its clients that have no outcome yet. */
async function orFail(job: Job, outcomes: Outcomes, done: Promise<void>): Promise<void> {
  try {
    await done;
  } catch (error) {
    outcomes.fail(job.clients, error);
  }
}

/** Waits for the time limit, which begins when this thread is ready to greet. */
async function giveUp(limitMs: number, signal: AbortSignal): Promise<void> {
  await Promise.allSettled([import("./client.ts")]);
  await pause(limitMs, signal);
}

/** The error of a greeting whose thread has said nothing in time. */
function overdue(maxTime: number): GreetError {
  return new GreetError("DEADLINE_EXCEEDED", `no answer within ${maxTime} s`);
}

/** Deals the clients out to threads, one at a time, like cards. */
function shareOut(clients: readonly Client[], threads: number): Client[][] {
  const dealt = Array.from(
    { length: Math.max(1, Math.min(threads, clients.length)) },
    (): Client[] => [],
  );
  clients.forEach((client, i) => dealt[i % dealt.length].push(client));
  return dealt;
}

/** Opens the naming service that a destination needs, if any. Not loaded otherwise. */
async function open(
  destination: Destination<Naming>,
  owner: AsyncDisposableStack,
): Promise<Destination<Names>> {
  if ("target" in destination) return destination;
  const { name, service: { place, options } } = destination;
  const { openNames } = await import("../naming/open.ts");
  return { name, service: owner.use(openNames(place, options)) };
}

/** Does a job in a Worker. */
async function runJob(job: Job, report: (report: Report) => void): Promise<void> {
  await using owner = new AsyncDisposableStack();
  await runClients(job, await open(job.destination, owner), report);
}

/** Greets with all clients of a job on the current thread. */
async function runClients(
  { clients, options }: Job,
  destination: Destination<Names>,
  report: (outcome: PlainOutcome) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { GreeterClient } = await import("./client.ts");
  using greeter = new GreeterClient(destination, { ...options, signal });
  await Promise.all(clients.map(async ({ index, name }) => {
    try {
      report({ index, greeting: await greeter.greet(name) });
    } catch (error) {
      if (signal?.aborted) return;
      report({ index, error: GreetError.from(error).toJSON() });
    }
  }));
}

const WORKER_NAME = "greet: clients";

/**
 * Starts a Worker, and has it do a job until the signal is aborted.
 *
 * @throws {GreetError} if the Worker cannot be started, fails, or reports something unexpected
 */
async function runInWorker(job: Job, outcomes: Outcomes, signal: AbortSignal): Promise<void> {
  const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
  const fail = (reason: string) => reject(new GreetError("FAILED", `a thread failed: ${reason}`));
  const worker = startWorker();
  worker.onmessage = ({ data }: MessageEvent<{ failed?: PlainError } | null>) => {
    try {
      if (data?.failed !== undefined) throw GreetError.fromJSON(data.failed);
      outcomes.add(data);
    } catch (error) {
      reject(error);
    }
  };
  worker.onmessageerror = () => fail("its report cannot be read");
  worker.onerror = (event) => {
    event.preventDefault();
    fail(event.message);
  };
  signal.addEventListener("abort", () => resolve(), { once: true });
  try {
    worker.postMessage(job);
    await ended;
  } finally {
    worker.terminate();
  }
}

function startWorker(): Worker {
  try {
    return new Worker(import.meta.url, { type: "module", name: WORKER_NAME });
  } catch (cause) {
    const { message } = GreetError.from(cause);
    throw new GreetError("FAILED", `a thread cannot be started: ${message}`, { cause });
  }
}

function threadError(cause: unknown): GreetError {
  if (cause instanceof GreetError) return cause;
  return new GreetError("FAILED", `a thread failed: ${GreetError.from(cause).message}`);
}

/** The part of a Worker's global scope that is used here. */
interface WorkerScope extends EventTarget {
  readonly name?: string;
  postMessage(report: Report): void;
}

/** Runs jobs in a Worker. Errors are reported rather than left to the runtime, which would print them. */
function work(scope: WorkerScope): void {
  const fail = (error: unknown) => scope.postMessage({ failed: threadError(error).toJSON() });
  scope.addEventListener("message", (event) => {
    const { data } = event as MessageEvent<Job>;
    runJob(data, (report) => scope.postMessage(report)).catch(fail);
  });
  scope.addEventListener("error", (event) => {
    event.preventDefault();
    fail((event as ErrorEvent).error);
  });
  scope.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fail((event as PromiseRejectionEvent).reason);
  });
}

const scope = globalThis as unknown as WorkerScope;
if (scope.name === WORKER_NAME) work(scope);
