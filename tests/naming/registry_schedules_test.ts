/**
 * Names under every schedule of claims, lookups, watches and lost connections: the server is a map
 * that changes one entry at a time, and all clients see it so.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type ClaimStatus, Names, type Registration } from "../../src/naming/names.ts";
import { NamesClient } from "../../src/naming/names_client.ts";
import { namesService } from "../../src/naming/names_server.ts";
import type { NamesEvent } from "../../src/naming/naming_service.ts";
import { Registry } from "../../src/naming/registry.ts";
import { parseTarget } from "../../src/net/address.ts";
import { scheduleTest, type Simulation } from "../support/schedules.ts";

const NAMES = ["Bob", "Carol"];
const CLIENTS = 3;

/** A name that only one client claims, which keeps it. */
const UNDISPUTED = "Dave";

/** The entries at one time: `name address`, sorted. */
type State = readonly string[];

/** A change, or the loss of everything with the server. */
interface Moment {
  readonly change: string;
  readonly name?: string;
  readonly state: State;
}

/** What a naming server has held, one change after the other. */
class History {
  readonly moments: Moment[] = [{ change: "begins", state: [] }];

  get now(): number {
    return this.moments.length - 1;
  }

  get state(): State {
    return this.moments[this.now].state;
  }

  /** One change. Throws if a map could not have changed like that. */
  changed(kind: "HELD" | "FREED", name: string, address: string, shared: boolean): void {
    const entry = `${name} ${address}`;
    const { state } = this;
    const holders = state.filter((one) => one.startsWith(`${name} `));
    if (kind === "FREED") assert(state.includes(entry), `${entry} is freed, and was not held`);
    else if (shared) assert(!holders.includes(entry), `${entry} is held twice`);
    else assert.deepEqual(holders, [], `${entry} is held, and so is another one`);
    const others = state.filter((one) => one !== entry);
    const next = kind === "HELD" ? [...others, entry].sort() : others;
    this.moments.push({ change: `${kind} ${entry}`, name, state: next });
  }

  restarted(): void {
    this.moments.push({ change: "restarts", state: [] });
  }
}

/** Where in the history a watcher may be: wherever what it has read may end. */
class WatcherView {
  readonly #history: History;
  readonly #name: string | undefined;
  #places: readonly number[];

  constructor(history: History, name: string | undefined) {
    this.#history = history;
    this.#name = name;
    this.#places = [0];
  }

  #stateAt(place: number): State {
    const { state } = this.#history.moments[place];
    return state.filter((one) => this.#name === undefined || one.startsWith(`${this.#name} `));
  }

  read(event: NamesEvent): void {
    if (event.type === "lost") return;
    const before = this.#places;
    if (event.type === "state") {
      const state = event.entries.map(({ name, address }) => `${name} ${address}`).sort();
      const from = Math.min(...before);
      this.#places = this.#history.moments.map((_, i) => i)
        .filter((i) => i >= from && `${this.#stateAt(i)}` === `${state}`);
    } else {
      const { name, address } = event.entry;
      const change = `${event.type === "held" ? "HELD" : "FREED"} ${name} ${address}`;
      this.#places = before.flatMap((place) => this.#next(place, change));
    }
    const what = event.type === "state" ? JSON.stringify(event.entries) : JSON.stringify(event);
    assert(this.#places.length > 0, `a watch of ${this.#name ?? "all"} misses something: ${what}`);
  }

  /** The place after the next change that the watcher sees, if it is this one. */
  #next(place: number, change: string): number[] {
    const { moments } = this.#history;
    for (let i = place + 1; i < moments.length; i++) {
      const { name, change: next } = moments[i];
      if (next === "restarts") return [];
      if (this.#name === undefined || name === this.#name) return next === change ? [i] : [];
    }
    return [];
  }

  /** Whether it may know how things are now. */
  get isUpToDate(): boolean {
    const now = `${this.#stateAt(this.#history.now)}`;
    return this.#places.some((place) => `${this.#stateAt(place)}` === now);
  }
}

type Incident =
  | "claim"
  | "free"
  | "lookup"
  | "calm"
  | "pass"
  | "restart"
  | "break"
  | "vanish"
  | "unplug"
  | "plug";

const steps = fc.array(
  fc.record({
    after: fc.noBias(fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 12 }))),
    type: fc.noBias(fc.constantFrom<Incident>(
      ...["claim", "claim", "claim", "free", "free", "lookup", "lookup", "calm", "calm"] as const,
      ...["break", "vanish", "unplug", "plug", "pass", "restart"] as const,
    )),
    client: fc.nat({ max: CLIENTS - 1 }),
    name: fc.nat({ max: NAMES.length - 1 }),
    isShared: fc.boolean(),
    which: fc.nat({ max: 3 }),
    ms: fc.constantFrom(10, 200, 2_500, 6_000),
  }),
  { minLength: 5, maxLength: 40, size: "max" },
);

type Step = typeof steps extends fc.Arbitrary<readonly (infer One)[]> ? One : never;

/** A naming server and its clients. */
class NamingWorld {
  readonly history = new History();
  readonly #simulation: Simulation;
  readonly #clients: Names[] = [];
  readonly #views: WatcherView[] = [];
  readonly #registrations: Registration[][] = Array.from({ length: CLIENTS }, () => []);
  readonly #end = new AbortController();
  #server: ReturnType<Simulation["network"]["host"]> | undefined;
  #undisputed: Registration | undefined;
  /** The port of the last address. */
  #lastAddress = 2;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  async start(): Promise<void> {
    await this.#serve();
    for (let i = 0; i < CLIENTS; i++) {
      const host = this.#simulation.network.host(`client ${i}`);
      const names = new Names(new NamesClient(parseTarget("1"), undefined, host.dial));
      this.#clients.push(names);
      void this.#watch(names, i === 0 ? undefined : NAMES[0]);
    }
    const claim = { name: UNDISPUTED, address: "127.0.0.1:2" };
    const checkStatus = ({ state }: ClaimStatus) =>
      this.#checked(() => assert.notEqual(state, "refused", "a holder is refused its own name"));
    void this.#clients[0].register(claim, checkStatus).then((one) => this.#undisputed = one);
  }

  async #serve(): Promise<void> {
    const server = this.#server = this.#simulation.network.host("server");
    const registry = new Registry(({ kind, entry: { name, address, shared } }) => {
      if (server === this.#server) {
        this.#checked(() => this.history.changed(kind, name, address, shared));
      }
    });
    await server.serve({ host: "127.0.0.1", port: 1, services: [namesService(registry)] });
  }

  #checked(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#simulation.fail(error);
    }
  }

  async #watch(names: Names, name: string | undefined): Promise<void> {
    const view = new WatcherView(this.history, name);
    this.#views.push(view);
    for await (const event of names.watch(name, this.#end.signal)) {
      this.#checked(() => view.read(event));
    }
  }

  async take(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      await this.#simulation.events(step.after);
      await this.#happen(step);
      await this.#simulation.settled();
    }
  }

  async #happen({ type, client, name, isShared, which, ms }: Step): Promise<void> {
    const { network } = this.#simulation;
    const host = `client ${client}`;
    switch (type) {
      case "claim":
        return void this.#claim(client, NAMES[name], isShared);
      case "free":
        return this.#free(client, which);
      case "lookup":
        return void this.#lookup(client, NAMES[name]);
      case "calm":
        return await this.#simulation.events(Infinity);
      case "pass":
        return await this.#simulation.pass(ms);
      case "restart":
        return await this.#restart();
      default:
        return network[type](host, "server");
    }
  }

  async #restart(): Promise<void> {
    this.#server!.die();
    this.#server = undefined;
    this.history.restarted();
    await this.#serve();
  }

  async #claim(client: number, name: string, shared: boolean): Promise<void> {
    const address = `127.0.0.1:${++this.#lastAddress}`;
    try {
      const claim = { name, address, shared };
      this.#registrations[client].push(await this.#clients[client].register(claim));
    } catch {
      // Someone else holds the name.
    }
  }

  #free(client: number, which: number): void {
    const [registration] = this.#registrations[client].splice(which, 1);
    void registration?.[Symbol.asyncDispose]();
  }

  /** A lookup returns what was held at some time between the question and the answer. */
  async #lookup(client: number, name: string): Promise<void> {
    const from = this.history.now;
    let found: string[];
    try {
      const entries = await this.#clients[client].lookup(name);
      found = entries.map(({ name, address }) => `${name} ${address}`).sort();
    } catch (error) {
      if ((error as { code?: string }).code !== "NOT_FOUND") return;
      found = [];
    }
    const states = this.history.moments.slice(from).map(({ state }) =>
      `${state.filter((one) => one.startsWith(`${name} `))}`
    );
    this.#checked(() => assert(states.includes(`${found}`), `lookup of ${name} found ${found}`));
  }

  /** Everything works, and everything has come to rest. */
  async heal(): Promise<void> {
    this.#simulation.network.heal();
    await this.#simulation.run(60_000);
  }

  /** In the end, what is held are the claims whose holders believe so, and all watchers know it. */
  check(): void {
    const registrations = [...this.#registrations.flat(), this.#undisputed!];
    const held = registrations.filter(({ status }) => status.state === "held")
      .map(({ claim }) => `${claim.name} ${claim.address}`).sort();
    assert.deepEqual(held, this.history.state, "holders and server disagree");
    for (const { claim, status } of registrations) {
      assert.notEqual(status.state, "lost", `${claim.name} ${claim.address} is lost`);
      const isHeld = this.history.state.some((one) => one.startsWith(`${claim.name} `));
      assert(isHeld, `${claim.name} is claimed and not held`);
    }
    for (const view of this.#views) assert(view.isUpToDate, "a watcher is out of date");
  }

  async end(): Promise<void> {
    this.#end.abort();
    for (const names of this.#clients) void names[Symbol.asyncDispose]();
    await this.#simulation.run(60_000);
  }
}

scheduleTest(
  "a naming server is a map for claims, lookups and watches, whatever happens to connections",
  steps,
  async (simulation, steps) => {
    const world = new NamingWorld(simulation);
    await world.start();
    try {
      await world.take(steps);
      await world.heal();
      world.check();
      const { now } = world.history;
      await simulation.run(60_000);
      assert.equal(world.history.now, now, "something changes although nothing happens");
      await world.end();
    } catch (error) {
      await world.end().catch(() => {});
      const changes = world.history.moments.map(({ change }) => change).join("\n");
      throw new Error(`${(error as Error).message}\n${changes}`, { cause: error });
    }
  },
  40,
);
