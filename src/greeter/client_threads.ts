/**
 * Many clients at once, on several threads.
 *
 * {@link greetAll} deals names out to Workers and yields their outcomes as they arrive. Each Worker
 * runs this same file, so a compiled binary needs no second entry point.
 *
 * @module
 */
import { GreetError, type PlainError } from "../base/errors.ts";
import type { GreetOptions } from "./client.ts";
import { type Destination, parseDestination } from "./destination.ts";
import type { Names } from "../naming/names.ts";
import type { Naming } from "../naming/open.ts";
import type { ClientTls } from "../rpc/credentials.ts";

/** How one greeting ended. */
export type Outcome =
  & {
    /** The name's index in the list, from 0. */
    readonly index: number;
    /** The name to be greeted by. */
    readonly name: string;
  }
  & ({ readonly greeting: string } | { readonly error: GreetError });

/** How to greet with several names. */
export interface GreetAllOptions extends Omit<GreetOptions, "names"> {
  /** A naming service: the target may then be a name. Each thread opens its own connection. */
  naming?: Naming;
  /**
   * The number of threads (default: one for each name, up to the number of cores). The first is
   * the current thread; each further one is a Worker, which takes 70 ms to start.
   */
  threads?: number;
}

/** One thread's share of the work, as plain data. */
interface Job {
  readonly destination: Destination<Naming>;
  readonly clients: readonly { readonly index: number; readonly name: string }[];
  readonly options: {
    readonly maxTime?: number;
    readonly wait?: boolean;
    readonly tls?: ClientTls;
  };
}

/** An {@link Outcome} as plain data. */
type PlainOutcome =
  & { readonly index: number; readonly name: string }
  & ({ readonly greeting: string } | { readonly error: PlainError });

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
  const { threads = navigator.hardwareConcurrency, maxTime, wait, tls, signal } = options;
  // An invalid naming service must be reported before any thread starts.
  await using owner = new AsyncDisposableStack();
  const opened = await open(destination, owner);
  const jobs = shareOut(names, threads)
    .map((clients): Job => ({ destination, clients, options: { maxTime, wait, tls } }));
  const stop = new AbortController();
  const { readable, writable } = new TransformStream<PlainOutcome, PlainOutcome>();
  const outcomes = writable.getWriter();
  const report = (outcome: PlainOutcome) => void outcomes.write(outcome).catch(() => {});
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const [own, ...others] = jobs;
  const running = Promise.all([
    // The Workers load their modules while this thread loads its own.
    ...others.map((job) => runInWorker(job, report, either)),
    runClients(own, opened, report, either),
  ]).then(() => outcomes.close()).catch(() => {});
  try {
    for await (const outcome of readable) yield revive(outcome);
  } finally {
    stop.abort();
    await running;
  }
}

/** Deals the names out to threads, one at a time, like cards. */
function shareOut(names: readonly string[], threads: number): Job["clients"][] {
  const dealt = Array.from(
    { length: Math.max(1, Math.min(threads, names.length)) },
    (): { index: number; name: string }[] => [],
  );
  names.forEach((name, index) => dealt[index % dealt.length].push({ index, name }));
  return dealt;
}

function revive(outcome: PlainOutcome): Outcome {
  if ("greeting" in outcome) return outcome;
  return { ...outcome, error: GreetError.fromJSON(outcome.error) };
}

type Report = (outcome: PlainOutcome) => void;

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
async function runJob(job: Job, report: Report): Promise<void> {
  await using owner = new AsyncDisposableStack();
  await runClients(job, await open(job.destination, owner), report);
}

/** Greets with all clients of a job on the current thread. */
async function runClients(
  { clients, options }: Job,
  destination: Destination<Names>,
  report: Report,
  signal?: AbortSignal,
): Promise<void> {
  const { GreeterClient } = await import("./client.ts");
  using greeter = new GreeterClient(destination, { ...options, signal });
  await Promise.all(clients.map(async (client) => {
    try {
      report({ ...client, greeting: await greeter.greet(client.name) });
    } catch (error) {
      if (signal?.aborted) return;
      report({ ...client, error: GreetError.from(error).toJSON() });
    }
  }));
}

const WORKER_NAME = "greet: clients";

/** Starts a Worker, and has it do a job. */
async function runInWorker(job: Job, report: Report, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const pending = new Map(job.clients.map((client) => [client.index, client]));
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const worker = new Worker(import.meta.url, { type: "module", name: WORKER_NAME });
  worker.onmessage = ({ data }: MessageEvent<PlainOutcome>) => {
    pending.delete(data.index);
    report(data);
    if (pending.size === 0) resolve();
  };
  worker.onerror = (event) => {
    event.preventDefault();
    const error = new GreetError("FAILED", `a thread failed: ${event.message}`).toJSON();
    for (const client of pending.values()) report({ ...client, error });
    resolve();
  };
  const abort = () => resolve();
  signal.addEventListener("abort", abort, { once: true });
  worker.postMessage(job);
  await done;
  signal.removeEventListener("abort", abort);
  worker.terminate();
}

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  readonly name?: string;
  onmessage: (event: MessageEvent<Job>) => void;
  postMessage(outcome: PlainOutcome): void;
}

const scope = globalThis as unknown as WorkerScope;
if (scope.name === WORKER_NAME) {
  scope.onmessage = ({ data }) => void runJob(data, (outcome) => scope.postMessage(outcome));
}
