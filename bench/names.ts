/**
 * Measures naming services: `greet names` and etcd, in turns, as processes on this machine. They do not
 * promise the same: etcd writes each claim to disk, and three nodes must agree on it first. etcd is
 * skipped where it is not installed.
 *
 * @module
 */
import { type Names, type NamesEvent, openNames, type Registration } from "../mod.ts";
import { EtcdCluster, hasEtcd } from "../tests/support/etcd.ts";
import { Program } from "../tests/support/program.ts";
import { inTime } from "../tests/support/waiting.ts";
import { pause } from "../src/base/timing.ts";
import { inTurns, median, percentile, type Report, type Table, usage } from "./measure.ts";

const ROUNDS = 3;
const CLAIMS = 1_000;
const AT_ONCE = 50;
const EVENTS = 150;
/** Numbers of names to hold; with few, garbage collection distorts the result, so those are repeated. */
const NAMES = [{ count: 1_000, rounds: ROUNDS }, { count: 10_000, rounds: 1 }];
/** Names that one client holds; `greet names` allows 1,000 per connection. */
const NAMES_PER_CLIENT = 500;
/** Names that a service holds before its memory is first read. */
const FIRST_NAMES = 100;
/** All run in this process: 1,000 did not settle on two shared cores. */
const REGISTRANTS = 500;
const KEPT_MS = 10_000;

/** A running naming service. */
interface Service extends AsyncDisposable {
  readonly place: string;
  /** Its processes. */
  readonly pids: readonly number[];
}

interface Contender {
  readonly name: string;
  start(): Promise<Service>;
}

const CONTENDERS: readonly Contender[] = [
  {
    name: "greet names",
    async start() {
      const server = Program.greet(["names", "0", "--quiet", "--json"]);
      const [, place] = await server.out.until(/"port":(\d+)/);
      return {
        place,
        pids: [server.pid],
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      };
    },
  },
  ...(hasEtcd ? [1, 3] : []).map((nodes) => ({
    name: `etcd × ${nodes}`,
    async start() {
      const cluster = await EtcdCluster.start({ nodes });
      return {
        place: cluster.place(),
        pids: cluster.pids,
        [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
      };
    },
  })),
];

/** Measures the speed and the memory of naming services. */
export async function benchNames(report: Report): Promise<void> {
  if (!hasEtcd) report.skip("names on etcd: needs etcd");
  const table = report.comparison("names", CONTENDERS.map(({ name }) => name));
  await benchSpeed(table);
  for (const names of NAMES) await benchHolding(report, table, names);
  await benchRegistrants(report, table);
}

const english = (count: number) => count.toLocaleString("en");

// ---------------------------------------------------------------- claiming and seeing

async function benchSpeed(table: Table): Promise<void> {
  const claims: number[][] = CONTENDERS.map(() => []);
  const times: number[][] = CONTENDERS.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { start }] of CONTENDERS.entries()) {
      await using service = await start();
      // The first claims warm up both sides.
      await claimsPerSecond(service.place);
      claims[i].push(await claimsPerSecond(service.place));
      times[i].push(...await latencies(service.place));
    }
  }
  table.row(`names claimed a second, ${AT_ONCE} at once`, ...claims.map(median));
  for (const [name, share] of [["p50", 0.5], ["p99", 0.99]] as const) {
    const figures = times.map((figures) => percentile(figures, share));
    table.row(`claimed → seen by a watcher, ${name}, ms`, ...figures);
  }
}

/** Claims names concurrently. Returns how many per second. */
async function claimsPerSecond(place: string): Promise<number> {
  await using names = openNames(place);
  const start = performance.now();
  let next = 0;
  const claim = async () => {
    for (let i = next++; i < CLAIMS; i = next++) {
      await names.register({ name: `name ${i}`, address: "127.0.0.1:55555" });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, claim));
  return CLAIMS / (performance.now() - start) * 1_000;
}

/** The times from claiming a name until a watcher sees it, in milliseconds. */
async function latencies(place: string): Promise<number[]> {
  await using claiming = openNames(place);
  await using watching = openNames(place);
  const events = watching.watch("Bob")[Symbol.asyncIterator]();
  const until = (type: NamesEvent["type"]) => inTime(untilEvent(events, type), type);
  await until("state");
  const figures: number[] = [];
  for (let i = 0; i < EVENTS; i++) {
    const start = performance.now();
    const registered = claiming.register({ name: "Bob", address: "127.0.0.1:55555" });
    await until("held");
    figures.push(performance.now() - start);
    await (await registered)[Symbol.asyncDispose]();
    await until("freed");
  }
  return figures;
}

/** Reads the events of a watch until one of a type has come. */
export async function untilEvent(
  events: AsyncIterator<NamesEvent>,
  type: NamesEvent["type"],
): Promise<void> {
  for (;;) {
    const { done, value } = await events.next();
    if (done) throw new Error(`the watch ended before ${type}`);
    if (value.type === type) return;
  }
}

// ---------------------------------------------------------------- holding

/** Measures the memory per name, with clients that hold many names each. */
async function benchHolding(
  report: Report,
  table: Table,
  { count, rounds }: typeof NAMES[number],
): Promise<void> {
  const figures = await inTurns(rounds, CONTENDERS, async (contender) => {
    await using service = await contender.start();
    await using clients = new Clients(service.place, NAMES_PER_CLIENT);
    const kB = await memoryPerName(service, clients, count);
    await expectAll(report, contender, clients);
    return kB;
  });
  table.row(`kB for each of ${english(count)} names, ${NAMES_PER_CLIENT} a client`, ...figures);
}

/** Measures the cost of many clients that hold one name each. */
async function benchRegistrants(report: Report, table: Table): Promise<void> {
  const memory: number[] = [];
  const shares: number[] = [];
  for (const contender of CONTENDERS) {
    await using service = await contender.start();
    await using clients = new Clients(service.place, 1);
    memory.push(await memoryPerName(service, clients, REGISTRANTS));
    shares.push(await cpuShare(service));
    await expectAll(report, contender, clients);
  }
  table.row(`kB for each of ${english(REGISTRANTS)} clients with one name`, ...memory);
  table.row("  % of a core to keep them", ...shares.map((share) => 100 * share));
}

/** Clients that hold names. Disposing of them releases all names. */
class Clients implements AsyncDisposable {
  readonly #place: string;
  readonly #namesPerClient: number;
  readonly #clients: Names[] = [];
  #held = 0;

  /** @param namesPerClient how many names each client holds */
  constructor(place: string, namesPerClient: number) {
    this.#place = place;
    this.#namesPerClient = namesPerClient;
  }

  /** Claims more names, with new clients. */
  async hold(count: number): Promise<void> {
    for (const end = this.#held + count; this.#held < end;) {
      const names = openNames(this.#place);
      this.#clients.push(names);
      const claims: Promise<Registration>[] = [];
      const last = Math.min(end, this.#held + this.#namesPerClient);
      for (; this.#held < last; this.#held++) {
        claims.push(names.register({ name: `name ${this.#held}`, address: "127.0.0.1:55555" }));
      }
      await Promise.all(claims);
    }
  }

  /** The number of claimed names that the service has lost. */
  async missing(): Promise<number> {
    return this.#held - (await this.#clients[0].list()).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((names) => names[Symbol.asyncDispose]()));
  }
}

/** The memory that a service needs for each additional name, in kB. */
async function memoryPerName(service: Service, clients: Clients, count: number): Promise<number> {
  // The first names include one-time costs.
  await clients.hold(FIRST_NAMES);
  const before = await memoryMB(service);
  await clients.hold(count);
  return (await memoryMB(service) - before) * 1_000 / count;
}

async function expectAll(report: Report, { name }: Contender, clients: Clients): Promise<void> {
  report.expect(`names lost by ${name}`, await clients.missing(), 0);
}

/** The share of a core that a service needs to keep its names. */
async function cpuShare(service: Service): Promise<number> {
  const spent = await cpuMs(service);
  await pause(KEPT_MS);
  return (await cpuMs(service) - spent) / KEPT_MS;
}

async function memoryMB({ pids }: Service): Promise<number> {
  return sum((await Promise.all(pids.map(usage))).map(({ memoryMB }) => memoryMB));
}

async function cpuMs({ pids }: Service): Promise<number> {
  return sum((await Promise.all(pids.map(usage))).map(({ cpuMs }) => cpuMs));
}

function sum(figures: readonly number[]): number {
  return figures.reduce((a, b) => a + b, 0);
}
