/**
 * How `greet names` grows: with the names that it holds, and with those who watch one.
 *
 * @module
 */
import { type Names, type NamesEvent, openNames, type Registration } from "../../mod.ts";
import { Program } from "../../tests/support/program.ts";
import { inTime } from "../../tests/support/waiting.ts";
import { figuresInTurns, median, type Report, usage } from "../measure.ts";
import { untilEvent } from "../names.ts";
import { GrowthTable } from "./table.ts";

const ROUNDS = 3;
const NAMES = [10, 100, 1_000];
const WATCHERS = [1, 10, 100];
/** Changes that are watched. */
const CHANGES = 50;
const ADDRESS = "127.0.0.1:55555";

/** A naming server, and a client that claims names. */
interface Service extends AsyncDisposable {
  readonly place: string;
  readonly names: Names;
  /** The CPU time of the server so far, in milliseconds. */
  cpuMs(): Promise<number>;
}

async function open(): Promise<Service> {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(Program.greet(["names", "0", "--quiet", "--json"]));
  const [, place] = await server.out.until(/"port":(\d+)/);
  const names = stack.use(openNames(place));
  const owned = stack.move();
  return {
    place,
    names,
    cpuMs: async () => (await usage(server.pid)).cpuMs,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Measures a server that holds more and more names. */
export async function growNames(report: Report): Promise<void> {
  const figures = await figuresInTurns(ROUNDS, NAMES, hold);
  const table = new GrowthTable(report, "greet names, by names held", {
    amounts: NAMES,
    unit: "100 names",
    unitSize: 100,
  });
  table.rowWithFurther("all claimed, CPU in ms", figures.map(({ claimedMs }) => claimedMs));
  table.rowWithFurther(
    "all listed, CPU in ms",
    figures.map(({ listedMs }) => listedMs),
  );
  table.row("a claim and its end, CPU in ms", figures.map(({ changeMs }) => changeMs));
  table.row("claimed → seen by a watcher of all, ms", figures.map(({ seenMs }) => seenMs));
}

async function hold(count: number) {
  await using service = await open();
  const { names } = service;
  // The first claim and the first list load and compile what all need.
  await using _first = await names.register({ name: "first", address: ADDRESS });
  await names.list();
  const start = await service.cpuMs();
  for (let i = 1; i < count; i++) await names.register({ name: `name ${i}`, address: ADDRESS });
  const claimed = await service.cpuMs();
  for (let i = 0; i < CHANGES; i++) await names.list();
  const listed = await service.cpuMs();
  const seenMs = await change(service, [names.watch()]);
  const changed = await service.cpuMs();
  return {
    claimedMs: claimed - start,
    listedMs: (listed - claimed) / CHANGES,
    changeMs: (changed - listed) / CHANGES,
    seenMs,
  };
}

/** Measures a server with more and more watchers of one name, each with its own connection. */
export async function growWatchers(report: Report): Promise<void> {
  const figures = await figuresInTurns(ROUNDS, WATCHERS, async (count) => {
    await using service = await open();
    await using stack = new AsyncDisposableStack();
    const watches = Array.from(
      { length: count },
      () => stack.use(openNames(service.place)).watch("Bob"),
    );
    const before = await service.cpuMs();
    const seenMs = await change(service, watches);
    return { changeMs: (await service.cpuMs() - before) / CHANGES, seenMs };
  });
  const table = new GrowthTable(report, "greet names, by watchers of a name", {
    amounts: WATCHERS,
    unit: "watcher",
  });
  const changes = figures.map(({ changeMs }) => changeMs);
  table.rowWithFurther("a claim and its end, CPU in ms", changes);
  table.row("claimed → seen by all, ms", figures.map(({ seenMs }) => seenMs));
}

/**
 * Claims a name and frees it, several times. Returns the median of the time until all watchers have
 * seen the claim, in milliseconds.
 */
async function change(
  { place }: Service,
  watches: readonly AsyncIterable<NamesEvent>[],
): Promise<number> {
  const all = watches.map((watch) => watch[Symbol.asyncIterator]());
  const seen = (type: NamesEvent["type"]) =>
    inTime(Promise.all(all.map((events) => untilEvent(events, type))), () => type);
  await seen("state");
  // A connection holds at most 1,000 names, and that of the service may have them.
  await using names = openNames(place);
  const figures: number[] = [];
  for (let i = 0; i < CHANGES; i++) {
    const start = performance.now();
    const claim: Promise<Registration> = names.register({ name: "Bob", address: ADDRESS });
    await seen("held");
    figures.push(performance.now() - start);
    await (await claim)[Symbol.asyncDispose]();
    await seen("freed");
  }
  await Promise.all(all.map((events) => events.return?.()));
  return median(figures);
}
