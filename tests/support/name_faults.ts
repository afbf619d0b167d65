/**
 * Clients that claim, look up and watch names while the naming service is killed and suspended, and
 * the history of what they saw.
 *
 * @module
 */
import { type Names, openNames, type Registration } from "../../mod.ts";
import { GreetError } from "../../src/base/errors.ts";
import type { NamedEntry, NamesEvent } from "../../src/naming/naming_service.ts";
import { pause, Pulse } from "../../src/base/timing.ts";
import { EtcdCluster } from "./etcd.ts";
import {
  expiryOf,
  type NameHistory,
  type Outage,
  type Promises,
  type SeenClaim,
  type SeenEntry,
  type SeenEvent,
  type SeenWatch,
} from "./name_history.ts";
import { freePorts } from "./ports.ts";
import { Program, ROOT } from "./program.ts";
import { inTime, PATIENCE_MS } from "./waiting.ts";

/** A real naming service. Disposing of it kills it. */
export interface Service extends AsyncDisposable {
  /** The service's address; clients with different numbers use different nodes first. */
  place(client: number): string;
  readonly promises: Promises;
  /** Whether there is no service when one process is dead. */
  readonly isSingle: boolean;
  /** Kills the process that matters most. Resolves when it has ended. */
  kill(): Promise<void>;
  /** Starts it again. Resolves when it serves clients. */
  restart(): Promise<void>;
  suspend(): Promise<void>;
  resume(): void;
}

/** How late an overloaded machine may be, in milliseconds. */
const SLACK_MS = 5_000;

/** `greet names`, as a process. */
export async function greetNames(): Promise<Service> {
  const [port] = freePorts();
  let server: Program;
  const start = async () => {
    server = Program.greet(["names", port]);
    await server.out.until("listening on");
  };
  await start();
  return {
    place: () => port,
    isSingle: true,
    promises: {
      leaseMs: 5_000 + SLACK_MS,
      forgets: true,
      losesSilently: false,
      replaces: false,
    },
    kill: () => server[Symbol.asyncDispose](),
    restart: start,
    suspend: () => Promise.resolve(server.kill("SIGSTOP")),
    resume: () => server.kill("SIGCONT"),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** etcd; of several nodes, faults hit the leader. */
export async function etcd(nodes: number): Promise<Service> {
  const cluster = await EtcdCluster.start({ nodes });
  let victim = 0;
  const choose = async () => void (victim = nodes === 1 ? 0 : await cluster.leader());
  return {
    place: (client) => cluster.place(client % nodes),
    isSingle: nodes === 1,
    promises: {
      leaseMs: 6_500 + SLACK_MS,
      forgets: false,
      losesSilently: true,
      replaces: true,
    },
    kill: async () => {
      await choose();
      await cluster.kill(victim);
    },
    restart: () => cluster.startNode(victim),
    suspend: async () => {
      await choose();
      cluster.pause(victim);
    },
    resume: () => cluster.resume(victim),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

/** What happens in a history. */
export interface Plan {
  /** How often the service is killed or suspended. */
  readonly outages: number;
  /** The part of these outages that may last longer than a lease. */
  readonly longOutages: number;
  /** Whether a holder that is a process of its own is killed. */
  readonly killsHolder: boolean;
}

/** How many clients there are, and how many things each does at once. */
const CLIENTS = 3;
const WORKERS = 3;

/** How long the service works before each outage and after the last one, at most. */
const CALM_MS = 1_000;

/** How long an outage lasts, at most; a killed service also has to start again. */
const OUTAGE_MS = 400;
const LONG_OUTAGE_MS = 7_000;

const NAMES = ["Alice", "Bob", "Carol"];

/** How long a holder keeps a name, and how long a worker rests, at most. */
const HOLD_MS = 60;
const REST_MS = 20;

/** The part of all claims that are kept for as long as a connection; they outlast outages. */
const LASTING = 0.06;

/** How long a client stays connected, and a holder with its own process lives, at most. */
const CONNECTED_MS = 3_000;
const HOLDER_LIVES_MS = 2_000;

/** How long a worker rests when the service has failed. */
const FAILED_REST_MS = 150;

/** How long a lookup may take, in seconds. */
const MAX_TIME = 1;

/** Lets clients work on a service that fails, and returns what they saw when all is quiet again. */
export async function record(
  service: Service,
  plan: Plan,
  random: () => number,
): Promise<NameHistory> {
  const run = new Recording(service, plan, random);
  return await run.run();
}

/** The failure of a claim that was not sent; the next attempt comes after a pause. */
const NOT_SENT = /connection refused/;

/** A refusal in which the service has no part. */
const OWN_CLAIM = /this process has registered/;

class Recording {
  readonly #service: Service;
  readonly #plan: Plan;
  readonly #random: () => number;
  readonly #history: NameHistory;
  readonly #over = new AbortController();
  #port = 0;
  #clients = 0;

  constructor(service: Service, plan: Plan, random: () => number) {
    this.#service = service;
    this.#plan = plan;
    this.#random = random;
    const { promises } = service;
    this.#history = { promises, outages: [], claims: [], lookups: [], watches: [] };
  }

  async run(): Promise<NameHistory> {
    await using watchers = openNames(this.#service.place(0));
    await using others = openNames(this.#service.place(1));
    const watches = [
      new Watching(watchers, this.#history),
      new Watching(others, this.#history, this.#pick(NAMES)),
    ];
    const clients = Array.from({ length: CLIENTS }, () => this.#client());
    const holder = this.#plan.killsHolder ? [this.#killedHolder()] : [];
    await Promise.all([this.#outages(), ...clients, ...holder]);
    await this.#settle(watches);
    return this.#history;
  }

  #upTo(ms: number): number {
    return this.#random() * ms;
  }

  #pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.#upTo(all.length))];
  }

  /** Lets the service fail from time to time, and then ends the work. */
  async #outages(): Promise<void> {
    const { outages, longOutages } = this.#plan;
    try {
      for (let count = 0; count < outages; count++) {
        await pause(this.#upTo(CALM_MS));
        const kind = this.#random() < 0.4 ? "kill" : "pause";
        const longest = this.#random() < longOutages ? LONG_OUTAGE_MS : OUTAGE_MS;
        await this.#outage(kind, this.#upTo(longest));
      }
      await pause(this.#upTo(CALM_MS));
    } finally {
      this.#over.abort();
    }
  }

  async #outage(kind: Outage["kind"], ms: number): Promise<void> {
    const outage: Outage = { kind, begin: performance.now(), end: Infinity };
    this.#history.outages.push(outage);
    if (kind === "kill") {
      await this.#service.kill();
      outage.dead = performance.now();
      await pause(ms);
      if (this.#service.isSingle) outage.reborn = performance.now();
      await this.#service.restart();
    } else {
      await this.#service.suspend();
      await pause(ms);
      this.#service.resume();
    }
    outage.end = performance.now();
  }

  /** One connection, which now and then is closed and opened again. */
  async #client(): Promise<void> {
    while (!this.#over.signal.aborted) {
      const client = ++this.#clients;
      const names = openNames(this.#service.place(client));
      const claims = new Set<SeenClaim>();
      const leaving = new AbortController();
      const end = AbortSignal.any([this.#over.signal, leaving.signal]);
      const workers = Array.from(
        { length: WORKERS },
        () => this.#worker(names, client, claims, end),
      );
      await pause(this.#upTo(CONNECTED_MS), end);
      leaving.abort();
      // Some claims are still waiting, and some names are held.
      const begin = performance.now();
      await names[Symbol.asyncDispose]();
      for (const claim of claims) {
        claim.over = { kind: "given back", begin, end: performance.now() };
      }
      await Promise.all(workers);
    }
  }

  async #worker(
    names: Names,
    client: number,
    claims: Set<SeenClaim>,
    end: AbortSignal,
  ): Promise<void> {
    while (!end.aborted) {
      const choice = this.#random();
      if (choice < 0.4) await this.#hold(names, client, claims, end);
      else if (choice < 0.9) await this.#lookup(names, this.#pick(NAMES), end);
      else await this.#lookup(names, undefined, end);
      await pause(this.#upTo(REST_MS), end);
    }
  }

  async #hold(
    names: Names,
    client: number,
    claims: Set<SeenClaim>,
    end: AbortSignal,
  ): Promise<void> {
    const seen = this.#newClaim(client, this.#random() < 0.3);
    claims.add(seen);
    let registration: Registration;
    try {
      registration = await names.register(seen, ({ state }) => note(seen, state));
    } catch (error) {
      const { code, message } = GreetError.from(error);
      if (code !== "ALREADY_EXISTS") throw error;
      claims.delete(seen);
      // A claim of this process, which may be waiting for the service, is no state of the service.
      if (OWN_CLAIM.test(message)) this.#forget(seen);
      else note(seen, "refused");
      return;
    }
    note(seen, registration.status.state);
    const longest = this.#random() < LASTING ? CONNECTED_MS : HOLD_MS;
    if (registration.status.state === "held") await pause(this.#upTo(longest), end);
    if (end.aborted) return;
    claims.delete(seen);
    const begin = performance.now();
    const { status } = registration;
    await registration[Symbol.asyncDispose]();
    seen.over = { kind: "given back", begin, end: performance.now() };
    if (status.state === "held") return;
    const isUnsent = seen.changes[0].state === "lost" && NOT_SENT.test(status.error.message);
    if (this.#service.promises.forgets && isUnsent) this.#forget(seen);
    await pause(FAILED_REST_MS, end);
  }

  /** Leaves out a claim that the service has never seen. */
  #forget(claim: SeenClaim): void {
    this.#history.claims.splice(this.#history.claims.indexOf(claim), 1);
  }

  #newClaim(client: number, shared: boolean): SeenClaim {
    const name = this.#pick(NAMES);
    const address = `127.0.0.1:${++this.#port}`;
    const claim = { name, address, shared, client, begin: performance.now(), changes: [] };
    this.#history.claims.push(claim);
    return claim;
  }

  async #lookup(names: Names, name: string | undefined, signal?: AbortSignal): Promise<void> {
    const begin = performance.now();
    let entries: readonly NamedEntry[] = [];
    try {
      const options = { maxTime: MAX_TIME, signal };
      entries = name === undefined ? await names.list(options) : await names.lookup(name, options);
    } catch (error) {
      // What failed has seen nothing.
      if ((error as GreetError).code !== "NOT_FOUND") return await pause(FAILED_REST_MS);
    }
    const seen = { name, begin, end: performance.now(), entries: entries.map(seenEntry) };
    this.#history.lookups.push(seen);
  }

  /** A holder that is killed at some time. */
  async #killedHolder(): Promise<void> {
    const seen = this.#newClaim(++this.#clients, false);
    const script = `${ROOT}tests/support/names_process.ts`;
    const args = ["hold", this.#service.place(seen.client), seen.name, seen.address];
    await using holder = new Program([Deno.execPath(), "run", "--allow-all", script, ...args]);
    const ended = new Pulse();
    const collect = async () => {
      let from = 0;
      await holder.out.waitFor(
        () => {
          const lines = holder.out.text.slice(from).split("\n").slice(0, -1);
          for (const line of lines) {
            from += line.length + 1;
            note(seen, line as SeenClaim["changes"][number]["state"]);
          }
          return holder.out.isOver || undefined;
        },
        () => "the end of a killed holder",
        10 * PATIENCE_MS,
      );
      ended.beat();
    };
    const collected = collect();
    await pause(this.#upTo(HOLDER_LIVES_MS), this.#over.signal);
    const begin = performance.now();
    holder.kill();
    await collected;
    seen.over = { kind: "killed", begin, end: performance.now() };
  }

  /** Waits until every name is free, or has to be, and until watches have seen that. */
  async #settle(watches: readonly Watching[]): Promise<void> {
    await using names = openNames(this.#service.place(0));
    const latest = Math.max(0, ...this.#history.claims.map(({ over }) => over?.end ?? 0));
    const deadline = expiryOf(this.#history, Math.max(latest, performance.now()));
    const end = new AbortController();
    const timer = setTimeout(() => end.abort(), deadline - performance.now());
    for (const name of NAMES) {
      for await (const { entries, error } of names.follow(name, end.signal)) {
        if (entries.length === 0 && error === undefined) break;
      }
    }
    clearTimeout(timer);
    for (const name of NAMES) await this.#lookup(names, name);
    for (const watch of watches) await watch.untilFree();
  }
}

function note(claim: SeenClaim, state: SeenClaim["changes"][number]["state"]): void {
  claim.changes.push({ state, at: performance.now() });
}

/** A watch that is recorded. */
class Watching {
  readonly #seen: SeenWatch;
  readonly #held = new Set<string>();
  readonly #changed = new Pulse();

  constructor(names: Names, history: NameHistory, name?: string) {
    this.#seen = { name, begin: performance.now(), events: [] };
    history.watches.push(this.#seen);
    void this.#watch(names);
  }

  async #watch(names: Names): Promise<void> {
    for await (const event of names.watch(this.#seen.name)) {
      this.#seen.events.push(seenEvent(event));
      this.#apply(event);
      this.#changed.beat();
    }
  }

  #apply(event: NamesEvent): void {
    if (event.type === "state") {
      this.#held.clear();
      for (const entry of event.entries) this.#held.add(keyOf(entry));
    } else if (event.type === "held") {
      const { name, shared } = event.entry;
      const former = shared ? [] : [...this.#held].filter((key) => key.startsWith(`${name}@`));
      for (const key of former) this.#held.delete(key);
      this.#held.add(keyOf(event.entry));
    } else if (event.type === "freed") this.#held.delete(keyOf(event.entry));
  }

  /** Waits until the watch has reported that every name is free. */
  async untilFree(): Promise<void> {
    const wait = async () => {
      for (;;) {
        const changed = this.#changed.next;
        if (this.#held.size === 0) return;
        await changed;
      }
    };
    await inTime(wait(), () => `a watch that knows that these are free: ${[...this.#held]}`);
  }
}

function keyOf({ name, address }: NamedEntry): string {
  return `${name}@${address}`;
}

function seenEntry({ name, address, shared }: NamedEntry): SeenEntry {
  return { name, address, shared };
}

function seenEvent(event: NamesEvent): SeenEvent {
  const at = performance.now();
  if (event.type === "lost") return { at, type: "lost" };
  if (event.type === "state") {
    return { at, type: "state", entries: event.entries.map(seenEntry) };
  }
  return { at, type: event.type, entry: seenEntry(event.entry) };
}
