/**
 * The processes of a soak with faults: two naming servers, a greeting server, and three chats. One
 * chat is encrypted, one is not, and in one two peers cannot be called and attach to the third. All
 * connections between them pass through proxies on 127.0.0.2.
 *
 * @module
 */
import { join } from "node:path";
import { type Identity, newIdentity } from "../../../mod.ts";
import { freePorts } from "../../../tests/support/ports.ts";
import { pause } from "../../../src/base/timing.ts";
import { Host } from "../vanish.ts";
import { Actor, type Role } from "./actor.ts";
import { Ledger } from "./ledger.ts";
import { Proxy } from "./proxy.ts";
import { mountSmallDisk } from "./small_disk.ts";

/** A process, with everything that faults need to know about it. */
export interface Member {
  readonly actor: Actor;
  readonly kind: "names" | "serve" | "chat";
  /** Whether it may be killed. The others live as long as the soak, so that their growth shows. */
  readonly isMortal: boolean;
  /** Where strangers call it, unless it cannot be called. */
  readonly host?: Host;
  /** What others call it through, or what it calls through if it cannot be called. */
  readonly proxy: Proxy;
  /** The peers it chats with. */
  readonly others: readonly string[];
  /** Whether its home is on a disk that can be filled. */
  readonly hasSmallDisk: boolean;
}

/** Everything that takes part. Disposing of it ends all processes. */
export interface Cast extends AsyncDisposable {
  readonly members: readonly Member[];
  readonly chats: readonly Member[];
  readonly ledger: Ledger;
  /** The errors that peers have reported, and how often. */
  readonly errors: ReadonlyMap<string, number>;
  /** The address of the greeting server behind its proxy, and the one of its naming server. */
  readonly greeter: string;
  readonly names: string;
}

const PROXY_HOST = "127.0.0.2";
const LIST = "/greet.v1.Names/List";
const GREET = "/greet.v1.Greeter/Greet";
const INTRODUCE = "/greet.v1.Chat/GetInfo";

/** How long all peers may take to find each other, in milliseconds. */
const MEETING_MS = 60_000;

/** Starts everything. Resolves when all peers have met. */
export async function openCast(folder: string): Promise<Cast> {
  await using stack = new AsyncDisposableStack();
  const builder = new Builder(folder, stack, await newIdentity("Mallory"));
  const [first, second, greeter, ...ports] = freePorts(10);
  await builder.names("names 1", first, true);
  await builder.names("names 2", second, false);
  await builder.serve(greeter, first);
  const [ann, ben, cid, dan, eve, fay, gil] = ports;
  const encrypted = { names: first, tls: true };
  await builder.chat("Ann", ann, ["Ben", "Cid"], encrypted);
  await builder.chat("Ben", ben, ["Ann", "Cid"], encrypted);
  await builder.chat("Cid", cid, ["Ann", "Ben"], encrypted, true);
  const plain = { names: second, tls: false };
  await builder.chat("Dan", dan, ["Eve", "Fay"], plain);
  await builder.chat("Eve", eve, ["Dan", "Fay"], plain);
  await builder.smallDisk("Fay");
  await builder.chat("Fay", fay, ["Dan", "Eve"], plain, true);
  await builder.called("Gil", gil, ["Hal", "Ivy"]);
  builder.attached("Hal", "Gil", false);
  builder.attached("Ivy", "Gil", true);
  await builder.allMet();
  const { members, ledger, errors } = builder;
  const open = stack.move();
  return {
    ...{ members, ledger, errors, chats: members.filter(({ kind }) => kind === "chat") },
    ...{ greeter: through(greeter), names: through(first) },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

/** How peers find each other. */
interface Naming {
  readonly names: string;
  readonly tls: boolean;
}

/** Starts processes one after another. */
class Builder {
  readonly members: Member[] = [];
  readonly ledger = new Ledger();
  readonly errors = new Map<string, number>();
  readonly #met = new Map<string, Set<string>>();
  readonly #small = new Set<string>();

  constructor(
    readonly folder: string,
    readonly stack: AsyncDisposableStack,
    readonly stranger: Identity,
  ) {}

  /** Gives a peer to come a home on a small disk, where that is possible. */
  async smallDisk(name: string): Promise<void> {
    const disk = await mountSmallDisk(this.#home(name));
    if (disk === undefined) return;
    this.stack.use(disk);
    this.#small.add(name);
  }

  async names(name: string, port: string, isMortal: boolean): Promise<void> {
    const proxy = await this.#proxy(port);
    const actor = this.#actor({ name, args: ["names", port, "--quiet"] });
    const host = new Host(name, port, LIST);
    this.#add({ actor, kind: "names", isMortal, host, proxy });
  }

  async serve(port: string, names: string): Promise<void> {
    const proxy = await this.#proxy(port);
    const naming = ["--as", "greeter", "--names", through(names)];
    const actor = this.#actor({ name: "serve", args: ["serve", port, ...naming] });
    const host = new Host("serve", port, GREET);
    this.#add({ actor, kind: "serve", isMortal: false, host, proxy });
  }

  /** A peer that finds the others by name and is called through its proxy. */
  async chat(
    name: string,
    port: string,
    others: string[],
    { names, tls }: Naming,
    isMortal = false,
  ): Promise<void> {
    const naming = ["--names", through(names), "--advertise", PROXY_HOST];
    const args = [port, ...others, ...naming, ...tls ? ["--tls"] : []];
    await this.#listening(name, port, others, args, tls, isMortal);
  }

  /** A peer that calls no one. */
  async called(name: string, port: string, others: string[]): Promise<void> {
    await this.#listening(name, port, others, [port, ...others, "--tls"], true, false);
  }

  /** A peer whose port the other does not know: it attaches. */
  attached(name: string, to: string, isMortal: boolean): void {
    const { host, proxy } = this.members.find(({ actor }) => actor.name === to)!;
    const actor = this.#chat(name, ["0", through(host!.port), "--tls"]);
    this.#add({ actor, kind: "chat", isMortal, proxy, others: [to] });
  }

  async #listening(
    name: string,
    port: string,
    others: string[],
    args: string[],
    tls: boolean,
    isMortal: boolean,
  ): Promise<void> {
    const proxy = await this.#proxy(port);
    const actor = this.#chat(name, args);
    const host = new Host(name, port, INTRODUCE, tls ? this.stranger : undefined);
    this.#add({ actor, kind: "chat", isMortal, host, proxy, others });
  }

  async allMet(): Promise<void> {
    const end = performance.now() + MEETING_MS;
    const missing = () =>
      this.members.flatMap(({ actor: { name }, others }) =>
        others.filter((other) => !this.#met.get(name)?.has(other)).map((other) =>
          `${name} has not met ${other}`
        )
      );
    while (missing().length > 0) {
      if (performance.now() > end) {
        const warnings = this.members.flatMap(({ actor }) => actor.warnings);
        throw new Error([...missing(), ...warnings].join("\n"));
      }
      await pause(100);
    }
  }

  #chat(name: string, args: string[]): Actor {
    const met = new Set<string>();
    this.#met.set(name, met);
    const onLine = (line: string, run: number) => {
      const event = JSON.parse(line);
      if (event.type === "welcome") { for (const peer of event.peers) met.add(peer); }
      if (event.type === "joined") met.add(event.name);
      if (event.type === "error") this.#noteError(name, event.message);
      this.ledger.note(name, run, event);
    };
    return this.#actor({ name, args: ["chat", name, ...args, "--json"], onLine });
  }

  #noteError(name: string, message: string): void {
    const kind = message.replaceAll(this.folder, "").replace(/\d+/g, "N");
    if (!this.errors.has(kind)) console.log(`${name} reports: ${message}`);
    this.errors.set(kind, (this.errors.get(kind) ?? 0) + 1);
  }

  #actor(role: Omit<Role, "home">): Actor {
    return this.stack.use(new Actor({ ...role, home: this.#home(role.name) }));
  }

  #home(name: string): string {
    const home = join(this.folder, name.replaceAll(" ", "-"));
    Deno.mkdirSync(home, { recursive: true, mode: 0o700 });
    return home;
  }

  #add(member: Omit<Member, "others" | "hasSmallDisk"> & Partial<Member>): void {
    const hasSmallDisk = this.#small.has(member.actor.name);
    this.members.push({ others: [], ...member, hasSmallDisk });
  }

  async #proxy(port: string): Promise<Proxy> {
    const route = { host: PROXY_HOST, port: Number(port), to: Number(port) };
    return this.stack.use(await Proxy.open(route));
  }
}

function through(port: string): string {
  return `${PROXY_HOST}:${port}`;
}
