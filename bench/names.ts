/**
 * What names cost: on a naming server of our own and on etcd.
 *
 * Both are processes on this machine, driven from this one in turns. Mind that they promise
 * different things: etcd writes each claim to its disk, and three nodes of it agree first. Where
 * there is no etcd, it is left out.
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
/** How many names are held; of few the garbage collector makes more or less, so that is repeated. */
const NAMES = [{ count: 1_000, rounds: ROUNDS }, { count: 10_000, rounds: 1 }];
/** How many names a client holds; a naming server of ours allows a connection 1,000. */
const NAMES_OF_ONE = 500;
/** How many names a service holds before its memory is looked at. */
const FIRST_NAMES = 100;
/** All are in this process: 1,000 of them did not come to rest on two cores that others used, too. */
const REGISTRANTS = 500;
const KEPT_MS = 10_000;

/** A naming service that was started for this. */
interface Service extends AsyncDisposable {
  readonly place: string;
  /** The process, or processes, whose memory it takes. */
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

/** Measures it all. */
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

/** Claims names, so many at once, and tells how many a second. */
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

/** How long after it began to claim a name somebody who watches knows, in ms, time after time. */
async function latencies(place: string): Promise<number[]> {
  await using claiming = openNames(place);
  await using watching = openNames(place);
  const told = watching.watch("Bob")[Symbol.asyncIterator]();
  const until = (type: NamesEvent["type"]) => inTime(untilTold(told, type), type);
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

async function untilTold(told: AsyncIterator<NamesEvent>, type: NamesEvent["type"]): Promise<void> {
  for (;;) {
    const { done, value } = await told.next();
    if (done) throw new Error(`the watch has ended before ${type}`);
    if (value.type === type) return;
  }
}

// ---------------------------------------------------------------- holding

/** What it takes in memory that so many names are held, by clients that hold many each. */
async function benchHolding(
  report: Report,
  table: Table,
  { count, rounds }: typeof NAMES[number],
): Promise<void> {
  const figures = await inTurns(rounds, CONTENDERS, async (contender) => {
    await using service = await contender.start();
    await using clients = new Clients(service.place, NAMES_OF_ONE);
    const kB = await memoryPerName(service, clients, count);
    await expectAll(report, contender, clients);
    return kB;
  });
  table.row(`kB for each of ${english(count)} names, ${NAMES_OF_ONE} a client`, ...figures);
}

/** What it takes that so many clients hold one name each. */
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

/** Those who hold names. Disposing of them gives all names back. */
class Clients implements AsyncDisposable {
  readonly #place: string;
  readonly #namesOfOne: number;
  readonly #clients: Names[] = [];
  #held = 0;

  /** @param namesOfOne how many names each may hold */
  constructor(place: string, namesOfOne: number) {
    this.#place = place;
    this.#namesOfOne = namesOfOne;
  }

  /** Holds so many names more, by new clients. */
  async hold(count: number): Promise<void> {
    for (const end = this.#held + count; this.#held < end;) {
      const names = openNames(this.#place);
      this.#clients.push(names);
      const claims: Promise<Registration>[] = [];
      const last = Math.min(end, this.#held + this.#namesOfOne);
      for (; this.#held < last; this.#held++) {
        claims.push(names.register({ name: `name ${this.#held}`, address: "127.0.0.1:55555" }));
      }
      await Promise.all(claims);
    }
  }

  /** How many names that were claimed the service does not know. */
  async missing(): Promise<number> {
    return this.#held - (await this.#clients[0].list()).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((names) => names[Symbol.asyncDispose]()));
  }
}

/** How much memory a service needs for each name more, in kB. */
async function memoryPerName(service: Service, clients: Clients, count: number): Promise<number> {
  // What the first names cost is the price of being used at all.
  await clients.hold(FIRST_NAMES);
  const before = await memoryMB(service);
  await clients.hold(count);
  return (await memoryMB(service) - before) * 1_000 / count;
}

async function expectAll(report: Report, { name }: Contender, clients: Clients): Promise<void> {
  report.expect(`names that were lost while ${name} held them`, await clients.missing(), 0);
}

/** How much of a core a service needs to go on. */
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
