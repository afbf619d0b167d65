/**
 * Several clients at the same time, each on a thread of its own.
 *
 * {@link greetAll} shares names out among Workers and passes their outcomes on
 * as they come. This file is also what each Worker runs: it is its own entry
 * point, so that a bundle or a compiled binary needs no second one.
 *
 * @module
 */
import { GreetError, type PlainError } from "../base/errors.ts";
import type { GreetOptions } from "./client.ts";
import type { Names } from "../naming/names.ts";
import type { Naming } from "../naming/open.ts";
import type { ClientTls } from "../rpc/credentials.ts";
import { isTarget, parseTarget } from "../net/address.ts";

/** How one greeting ended. */
export type Outcome =
  & {
    /** The name's place in the list, from 0. */
    readonly index: number;
    /** Who greeted. */
    readonly name: string;
  }
  & ({ readonly greeting: string } | { readonly error: GreetError });

/** How to greet with several names. */
export interface GreetAllOptions extends Omit<GreetOptions, "names"> {
  /** Who knows where names are; each thread asks for itself. */
  naming?: Naming;
  /**
   * On how many threads (default: one for each name, up to the number of
   * cores). The first is the thread that is there; each other one, a Worker, costs 70 ms.
   */
  threads?: number;
}

/** What a Worker is told to do. */
interface Job {
  readonly target: string;
  readonly naming?: Naming;
  readonly clients: readonly { readonly index: number; readonly name: string }[];
  readonly options: {
    readonly maxTime?: number;
    readonly wait?: boolean;
    readonly tls?: ClientTls;
  };
}

/** An {@link Outcome} that can cross from one thread to another. */
type PlainOutcome =
  & { readonly index: number; readonly name: string }
  & ({ readonly greeting: string } | { readonly error: PlainError });

/**
 * Greets a server once for each name, all at the same time.
 *
 * @param target whom to call
 * @param names who is greeting
 * @returns the outcomes, in the order in which they come; a failure is an
 *   outcome, too. It ends after the last one, or when the signal is aborted
 * @throws {GreetError} `USAGE` for a target or a naming service that is none
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
  const { threads = navigator.hardwareConcurrency, maxTime, wait, tls, signal } = options;
  const naming = isTarget(target) ? undefined : options.naming;
  // What cannot be called is to be known before there are threads.
  if (naming === undefined) parseTarget(target);
  else await (await open(naming))[Symbol.asyncDispose]();
  const jobs = shareOut(names, threads).map((clients) => ({
    target,
    naming,
    clients,
    options: { maxTime, wait, tls },
  }));
  const stop = new AbortController();
  const { readable, writable } = new TransformStream<PlainOutcome, PlainOutcome>();
  const outcomes = writable.getWriter();
  const report = (outcome: PlainOutcome) => void outcomes.write(outcome).catch(() => {});
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  // The other threads load what they need while this one does the same.
  const [own, ...others] = jobs;
  const running = Promise.all([
    ...others.map((job) => runInWorker(job, report, either)),
    runJob(own, report, either),
  ]).then(() => outcomes.close()).catch(() => {});
  try {
    for await (const outcome of readable) yield revive(outcome);
  } finally {
    stop.abort();
    await running;
  }
}

/** Deals the names out like cards. */
function shareOut(names: readonly string[], hands: number): Job["clients"][] {
  const dealt = Array.from(
    { length: Math.max(1, Math.min(hands, names.length)) },
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

/** Opens a naming service; where everybody is called by their address, none has to be loaded. */
async function open({ place, options }: Naming): Promise<Names> {
  const { openNames } = await import("../naming/open.ts");
  return openNames(place, options);
}

/** Does a job on this thread. */
async function runJob(job: Job, report: Report, signal?: AbortSignal) {
  const { GreeterClient } = await import("./client.ts");
  const { target, naming, clients, options } = job;
  await using names = naming && await open(naming);
  using greeter = new GreeterClient(target, { ...options, names, signal });
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

/** Does a job on another thread. */
async function runInWorker(job: Job, report: Report, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const missing = new Map(job.clients.map((client) => [client.index, client]));
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const worker = new Worker(import.meta.url, { type: "module", name: WORKER_NAME });
  worker.onmessage = ({ data }: MessageEvent<PlainOutcome>) => {
    missing.delete(data.index);
    report(data);
    if (missing.size === 0) resolve();
  };
  worker.onerror = (event) => {
    event.preventDefault();
    const error = new GreetError("FAILED", `a thread ended: ${event.message}`).toJSON();
    for (const client of missing.values()) report({ ...client, error });
    resolve();
  };
  const abort = () => resolve();
  signal.addEventListener("abort", abort, { once: true });
  worker.postMessage(job);
  await done;
  signal.removeEventListener("abort", abort);
  worker.terminate();
}

/** The part of a Worker's global scope that it takes to be one. */
interface WorkerScope {
  readonly name?: string;
  onmessage: (event: MessageEvent<Job>) => void;
  postMessage(outcome: PlainOutcome): void;
}

const scope = globalThis as unknown as WorkerScope;
if (scope.name === WORKER_NAME) {
  scope.onmessage = ({ data }) => void runJob(data, (outcome) => scope.postMessage(outcome));
}
