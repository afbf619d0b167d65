/**
 * Participants of a chat on a virtual network, which are killed and started again, and whose reports
 * are checked while they come in.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Identity } from "../../src/identity/identity.ts";
import { KnownPeers } from "../../src/identity/known_peers.ts";
import { Journal } from "../../src/peer/journal.ts";
import type { Message } from "../../src/peer/messages.ts";
import { Peer, type PeerEvent } from "../../src/peer/peer.ts";
import type { RosterEvent } from "../../src/peer/roster.ts";
import type { Simulation } from "./schedules.ts";

/** One participant, over several runs. */
export interface CastMember {
  readonly name: string;
  /** Its computer, if that has another name. */
  readonly host?: string;
  readonly port: number;
  /** As on the command line. */
  readonly targets: readonly string[];
  /** For an encrypted chat. */
  readonly identity?: Identity;
  /** Whether it keeps its messages on disk. */
  readonly isDurable: boolean;
}

/** One run of a participant. */
interface Run {
  readonly peer: Peer;
  readonly journal: Journal | undefined;
  readonly host: ReturnType<Simulation["network"]["host"]>;
  readonly roster: AnnouncedPeers;
  isOver: boolean;
}

/** A participant. */
export class Participant {
  readonly cast: CastMember;
  readonly #simulation: Simulation;
  readonly #chat: VirtualChat;
  /** The keys that it knows, in all its runs. */
  readonly known = KnownPeers.inMemory();
  #run: Run | undefined;
  #isBusy = false;
  /** The ids of what it has received, when its journal was closed last. */
  #received: ReadonlySet<string> = new Set();
  /** The number of the last message that it has said. */
  #said = 0;
  /** Those of them that will arrive, according to itself. */
  readonly safe = new Set<number>();
  /** Those that may not. */
  readonly failed = new Set<number>();
  /** The numbers of the messages that it has shown, by the port of the sender. */
  readonly #shown = new Map<number, Set<number>>();
  /** The number of the last one; without a journal, of the last one in this run. */
  readonly #lastShown = new Map<number, number>();
  /** Messages that it has shown and that no participant has said. */
  readonly forged: string[] = [];
  /** What happened to it. */
  readonly log: string[] = [];

  constructor(cast: CastMember, chat: VirtualChat) {
    this.cast = cast;
    this.#chat = chat;
    this.#simulation = chat.simulation;
  }

  /** The names of the peers that are here, according to its announcements. */
  get here(): ReadonlySet<string> {
    return this.#run?.roster.here ?? new Set();
  }

  /** Two participants may claim one name. */
  get #home(): string {
    return `${this.#chat.folder}/${this.cast.port}`;
  }

  /** The name of its computer. */
  get hostName(): string {
    return this.cast.host ?? this.cast.name;
  }

  /** The numbers of the messages of another participant that it has shown. */
  shownFrom({ cast }: Participant): ReadonlySet<number> {
    return this.#shown.get(cast.port) ?? new Set();
  }

  /** Starts it, if it does not run. */
  async start(): Promise<void> {
    if (this.#run !== undefined || this.#isBusy) return;
    this.#isBusy = true;
    const { name, port, targets, identity, isDurable } = this.cast;
    const journal = isDurable ? this.#openJournal() : undefined;
    if (!isDurable) this.#lastShown.clear();
    const host = this.#simulation.network.host(this.hostName);
    const options = { name, port, targets, identity, journal, known: this.known };
    const peer = await Peer.openOn(host, options);
    const run = this.#run = { peer, journal, host, roster: new AnnouncedPeers(), isOver: false };
    void this.#read(run);
    this.#isBusy = false;
  }

  /** Its journal, on a disk that takes its time. */
  #openJournal(): Journal {
    const { name } = this.cast;
    const journal = Journal.open({ home: this.#home, name });
    const { send, receive } = journal;
    const disk = new Disk(() => this.#simulation.turn(`${this.hostName}'s disk`));
    journal.send = (...args) => disk.write(() => send.apply(journal, args));
    journal.receive = (...args) => disk.write(() => receive.apply(journal, args));
    return journal;
  }

  /** Kills its process. */
  kill(): void {
    const run = this.#run;
    if (run === undefined) return;
    run.host.die();
    this.#end(run);
    run.peer[Symbol.asyncDispose]().catch(() => {});
  }

  /** Leaves the chat in good order. */
  async leave(): Promise<void> {
    const run = this.#run;
    if (run === undefined || this.#isBusy) return;
    this.#isBusy = true;
    await run.peer[Symbol.asyncDispose]();
    this.#end(run);
    this.#isBusy = false;
  }

  #end(run: Run): void {
    if (run.isOver) return;
    this.#received = this.#receivedBy(run);
    run.isOver = true;
    run.journal?.[Symbol.dispose]();
    this.#run = undefined;
  }

  /** Says something, if it runs. Its messages are numbered. */
  say(): void {
    const run = this.#run;
    if (run === undefined || this.#isBusy) return;
    const number = ++this.#said;
    run.peer.send(`${this.cast.port}:${number}`).then(
      () => this.safe.add(number),
      (error) => {
        this.failed.add(number);
        this.log.push(`not sent: ${error.message}`);
      },
    );
  }

  /** Whether it has received a message. */
  has(id: string): boolean {
    return (this.#run === undefined ? this.#received : this.#receivedBy(this.#run)).has(id);
  }

  #receivedBy({ journal }: Run): ReadonlySet<string> {
    const names = this.#chat.participants.map(({ cast }) => cast.name);
    const shown = journal?.history({ names, targets: [] }, 10_000) ?? [];
    const unshown = journal?.unshown(0) ?? [];
    return new Set([...shown, ...unshown].map(({ message }) => message.id));
  }

  async #read(run: Run): Promise<void> {
    for await (const event of run.peer.events) {
      if (run.isOver) return;
      try {
        this.#check(event, run);
      } catch (error) {
        this.#simulation.fail(error);
      }
    }
  }

  #check(event: PeerEvent, { roster }: Run): void {
    this.log.push(`${Math.round(this.#simulation.time.nowMs)} ${summaryOf(event)}`);
    switch (event.type) {
      case "welcome":
      case "joined":
      case "left":
        return roster.announce(event);
      case "message":
        return this.#show(event.message);
      case "delivered":
        return this.#checkDelivery(event.message.id, event.to);
    }
  }

  /**
   * Messages are shown once, and in order unless they have failed. One that has timed out may still
   * be on its way, and is overtaken by later ones here, where the calls of a connection are not ordered.
   */
  #show({ from, body }: Message): void {
    const [port, number] = body.split(":").map(Number);
    const sender = this.#chat.participants.find(({ cast }) => cast.port === port);
    if (sender === undefined) return void this.forged.push(body);
    assert.equal(from, sender.cast.name);
    const shown = new Set(this.shownFrom(sender));
    const last = this.#lastShown.get(port) ?? 0;
    const isInOrder = number > last || sender.failed.has(number) && !shown.has(number);
    assert(isInOrder, `${this.hostName} shows ${sender.hostName}'s ${number} after ${last}`);
    this.#lastShown.set(port, Math.max(number, last));
    this.#shown.set(port, shown.add(number));
  }

  /** What is delivered has been received. */
  #checkDelivery(id: string, to: string): void {
    const receivers = this.#chat.participants.filter(({ cast }) => cast.name === to);
    if (!receivers.some(({ cast }) => cast.isDurable)) return;
    const hasIt = receivers.some((receiver) => receiver.has(id));
    assert(hasIt, `${this.cast.name}: delivered to ${to}, who does not have it`);
  }
}

function summaryOf(event: PeerEvent): string {
  switch (event.type) {
    case "waiting":
      return `waiting: ${event.reason}`;
    case "welcome":
      return `welcome ${event.names.join(" ")}`;
    case "joined":
    case "left":
      return `${event.name} ${event.type}`;
    case "message":
      return `${event.message.from}> ${event.message.body}`;
    case "delivered":
    case "failed":
      return `${event.type} ${event.message.body} to ${event.to}`;
    case "trouble":
      return `trouble: ${event.error.message}`;
    default:
      return event.type;
  }
}

/** The peers that are here, according to announcements that must not contradict each other. */
export class AnnouncedPeers {
  readonly here = new Set<string>();
  readonly #met = new Set<string>();
  #isWelcomed = false;

  announce(event: Exclude<RosterEvent, { type: "waiting" }>): void {
    switch (event.type) {
      case "welcome":
        assert(!this.#isWelcomed, "a second welcome");
        this.#isWelcomed = true;
        assert(event.names.length > 0, "a welcome of nobody");
        return event.names.forEach((name) => this.#arrive(name));
      case "joined":
        assert(this.#isWelcomed, `${event.name} joins before the welcome`);
        assert.equal(event.back, this.#met.has(event.name), `${event.name} is back`);
        return this.#arrive(event.name);
      case "left":
        assert(this.here.delete(event.name), `${event.name} leaves without being here`);
    }
  }

  #arrive(name: string): void {
    assert(!this.here.has(name), `${name} is announced twice`);
    this.here.add(name);
    this.#met.add(name);
  }
}

/** A disk, which writes one thing after the other, each when it is its turn. */
class Disk {
  readonly #turn: () => Promise<void>;
  #last: Promise<unknown> = Promise.resolve();

  constructor(turn: () => Promise<void>) {
    this.#turn = turn;
  }

  write<T>(run: () => Promise<T>): Promise<T> {
    const write = this.#last.then(this.#turn).then(run);
    this.#last = write.catch(() => {});
    return write;
  }
}

/** What happens to a chat. Hosts and cables are numbers. */
export type Incident =
  | { readonly type: "say" | "kill" | "leave" | "start"; readonly who: number }
  | { readonly type: "break" | "vanish" | "unplug" | "plug" | "open"; readonly pair: number }
  | { readonly type: "refused" | "silent"; readonly pair: number }
  | { readonly type: "pass"; readonly ms: number }
  | { readonly type: "calm" };

/** Something that happens, and how many events come before it. */
export interface Step {
  readonly after: number;
  readonly incident: Incident;
}

const number = fc.nat({ max: 5 });

function incident(types: readonly string[], field: "who" | "pair") {
  return fc.record({ type: fc.constantFrom(...types), [field]: number });
}

/** What may happen to a chat before everything works again. */
export const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({
    after: fc.noBias(fc.oneof(fc.nat({ max: 5 }), fc.nat({ max: 25 }))),
    incident: fc.oneof(
      { weight: 6, arbitrary: incident(["say"], "who") },
      { weight: 4, arbitrary: incident(["start", "start", "start", "kill", "leave"], "who") },
      { weight: 3, arbitrary: incident(["break", "break", "vanish"], "pair") },
      {
        weight: 3,
        arbitrary: incident(
          ["unplug", "plug", "plug", "refused", "silent", "open", "open"],
          "pair",
        ),
      },
      { weight: 3, arbitrary: fc.constant({ type: "calm" }) },
      {
        weight: 2,
        arbitrary: fc.record({
          type: fc.constant("pass"),
          ms: fc.constantFrom(60, 600, 1_100, 3_100, 5_100, 12_000, 40_000),
        }),
      },
    ) as fc.Arbitrary<Incident>,
  }),
  { minLength: 5, maxLength: 40, size: "max" },
);

/** Peers that talk to each other. */
export class VirtualChat {
  readonly participants: readonly Participant[];
  readonly simulation: Simulation;

  /** For journals. */
  readonly folder: string;

  constructor(simulation: Simulation, cast: readonly CastMember[], folder: string) {
    this.simulation = simulation;
    this.folder = folder;
    this.participants = cast.map((one) => new Participant(one, this));
  }

  /** Pairs of participants, in both directions. */
  get #pairs(): readonly (readonly [Participant, Participant])[] {
    return this.participants.flatMap((one) =>
      this.participants.filter((other) => other !== one).map((other) => [one, other] as const)
    );
  }

  /** Starts everyone, takes steps, and lets other events happen between them. */
  async take(steps: readonly Step[]): Promise<void> {
    for (const participant of this.participants) {
      await participant.start();
      await this.simulation.events(steps[0].after);
    }
    for (const { after, incident } of steps) {
      await this.simulation.events(after);
      await this.#happen(incident);
      await this.simulation.settled();
    }
  }

  async #happen(incident: Incident): Promise<void> {
    const { network } = this.simulation;
    if (incident.type === "pass") return await this.simulation.pass(incident.ms);
    if (incident.type === "calm") return await this.simulation.events(Infinity);
    if ("who" in incident) {
      const participant = this.participants[incident.who % this.participants.length];
      return void participant[incident.type]();
    }
    const pair = this.#pairs[incident.pair % this.#pairs.length];
    const [one, other] = pair.map(({ hostName }) => hostName);
    const { type } = incident;
    if (type === "refused" || type === "silent" || type === "open") {
      network.setPath(one, other, type);
    } else network[type](one, other);
  }

  /**
   * Ends all faults, starts those that do not run, and waits.
   *
   * @param isDone what to wait for, up to two minutes
   */
  async heal(isDone: () => boolean): Promise<void> {
    await this.healed();
    const done = await this.simulation.run(120_000, isDone);
    assert(done, "two minutes after everything works, not everything is as it should be");
  }

  /** Ends all faults, and starts those that do not run. */
  async healed(): Promise<void> {
    this.simulation.network.heal();
    await this.simulation.run(10_000);
    for (const participant of this.participants) void participant.start();
    await this.simulation.settled();
  }

  /** Whether everyone is here. */
  get isGathered(): boolean {
    return this.#pairs.every(([one, other]) => one.here.has(other.cast.name));
  }

  /** Whether everyone is here, and has everything that was said. */
  get isComplete(): boolean {
    return this.isGathered &&
      this.#pairs.every(([one, other]) => one.shownFrom(other).isSupersetOf(other.safe));
  }

  /** What happened, for an error. */
  get log(): string {
    return this.participants.map(({ hostName, log }) => `${hostName}:\n  ${log.join("\n  ")}`)
      .join("\n");
  }

  /** Ends all participants. */
  async end(): Promise<void> {
    for (const participant of this.participants) participant.kill();
    this.simulation.network.heal();
    await this.simulation.run(30_000);
  }
}

/** A file system in memory, on which waiting for the disk takes no time. */
const MEMORY = "/dev/shm";

/** A new folder, in memory if the system can do that, and Deno is allowed to. */
export function memoryFolder(): Promise<string> {
  return Deno.makeTempDir({ dir: MEMORY }).catch(() => Deno.makeTempDir());
}

/** Runs a chat, and tells what happened if a check fails. */
export async function inChat(
  simulation: Simulation,
  cast: readonly CastMember[],
  run: (chat: VirtualChat) => Promise<void>,
): Promise<void> {
  const folder = await memoryFolder();
  const chat = new VirtualChat(simulation, cast, folder);
  try {
    await run(chat);
    await chat.end();
  } catch (error) {
    const { message } = error as Error;
    await chat.end().catch(() => {});
    throw new Error(`${message}\n${chat.log}`, { cause: error });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
