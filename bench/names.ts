/**
 * What names cost: on a naming server of our own and on etcd, side by side in one run.
 *
 * Both are processes on this machine, driven from this one in turns. Look at the ratios, and
 * mind that they promise different things: etcd writes each claim to its disk, and three nodes of
 * it agree first. `deno task bench`. Memory needs Linux; etcd, where it is missing, is left out.
 *
 * @module
 */
import { type Names, type NamesEvent, openNames, type Registration } from "../mod.ts";
import { EtcdCluster, hasEtcd } from "../tests/etcd.ts";
import { Program } from "../tests/program.ts";
import { pause } from "../time.ts";

const CLAIMS = 1_000;
const AT_ONCE = 50;
const EVENTS = 500;
const NAMES = [1_000, 10_000];
/** How many names a client holds; a naming server of ours allows a connection 1,000. */
const NAMES_OF_ONE = 500;
const REGISTRANTS = 1_000;
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

function percentile(numbers: readonly number[], share: number): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length * share)];
}

function row(what: string, figures: readonly number[]): void {
  const cells = figures.map((figure) => figure.toFixed(figure < 10 ? 2 : 0));
  const ratios = figures.slice(1).map((figure) => `× ${(figures[0] / figure).toFixed(2)}`);
  console.log(what.padEnd(48) + [...cells, ...ratios].map((cell) => cell.padStart(12)).join(""));
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

/** How long after it began to claim a name, or to give it back, somebody who watches knows, in ms. */
async function latencies(place: string): Promise<number[]> {
  await using claiming = openNames(place);
  await using watching = openNames(place);
  const told = watching.watch("Bob")[Symbol.asyncIterator]();
  const until = async (type: NamesEvent["type"]) => {
    while ((await told.next()).value?.type !== type);
  };
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

/** What it costs a service that so many names are held, by clients that hold so many each. */
async function costOfHolding(
  { start }: Contender,
  count: number,
  namesOfOne: number,
): Promise<{ bytesPerName: number; cpuShare: number }> {
  await using service = await start();
  await using clients = new AsyncDisposableStack();
  // What the first names cost is the price of being used at all.
  await holdNames(clients, service.place, "first", 100, namesOfOne);
  const before = await memory(service);
  await holdNames(clients, service.place, "name", count, namesOfOne);
  const bytesPerName = (await memory(service) - before) / count;
  const spent = await cpuMs(service);
  await pause(KEPT_MS);
  return { bytesPerName, cpuShare: (await cpuMs(service) - spent) / KEPT_MS };
}

async function holdNames(
  clients: AsyncDisposableStack,
  place: string,
  prefix: string,
  count: number,
  namesOfOne: number,
): Promise<void> {
  for (let first = 0; first < count; first += namesOfOne) {
    const names: Names = clients.use(openNames(place));
    const claims: Promise<Registration>[] = [];
    for (let i = first; i < Math.min(count, first + namesOfOne); i++) {
      claims.push(names.register({ name: `${prefix} ${i}`, address: "127.0.0.1:55555" }));
    }
    await Promise.all(claims);
  }
}

/** How long a service has computed, in milliseconds. */
async function cpuMs({ pids }: Service): Promise<number> {
  let ticks = 0;
  for (const pid of pids) {
    const fields = (await Deno.readTextFile(`/proc/${pid}/stat`)).split(") ")[1].split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks * 10;
}

/** Resident memory, in bytes. */
async function memory({ pids }: Service): Promise<number> {
  let kilobytes = 0;
  for (const pid of pids) {
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    kilobytes += Number(/VmRSS:\s+(\d+)/.exec(status)![1]);
  }
  return kilobytes * 1_024;
}

async function measure(run: (service: Service) => Promise<number[]>): Promise<number[][]> {
  const figures: number[][] = [];
  for (const { start } of CONTENDERS) {
    await using service = await start();
    figures.push(await run(service));
  }
  return figures;
}

const machine = `${navigator.hardwareConcurrency} cores, ${Deno.build.target}`;
console.log(`Deno ${Deno.version.deno}, ${machine}\n`);
const heads = CONTENDERS.map(({ name }) => name);
const ratios = heads.slice(1).map((name) => `to ${name}`);
console.log("".padEnd(48) + [...heads, ...ratios].map((head) => head.padStart(12)).join(""));
const claims = await measure(async ({ place }) => {
  // The first round warms up both sides.
  await claimsPerSecond(place);
  return [await claimsPerSecond(place)];
});
row(`names claimed a second, ${AT_ONCE} at once`, claims.map(([figure]) => figure));
const events = await measure(({ place }) => latencies(place));
row("claimed → seen by a watcher, p50, ms", events.map((figures) => percentile(figures, 0.5)));
row("claimed → seen by a watcher, p99, ms", events.map((figures) => percentile(figures, 0.99)));
for (const count of NAMES) {
  const figures: number[] = [];
  for (const contender of CONTENDERS) {
    figures.push((await costOfHolding(contender, count, NAMES_OF_ONE)).bytesPerName);
  }
  row(`memory per name, ${count} names, bytes`, figures);
}
const costs: { bytesPerName: number; cpuShare: number }[] = [];
for (const contender of CONTENDERS) costs.push(await costOfHolding(contender, REGISTRANTS, 1));
const each = `${REGISTRANTS} registrants with one name each`;
row(`${each}, bytes`, costs.map(({ bytesPerName }) => bytesPerName));
row(`${each}, % CPU`, costs.map(({ cpuShare }) => 100 * cpuShare));
