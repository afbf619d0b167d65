/**
 * How `greet serve` grows: with the calls that are in flight, and with those that it has answered.
 *
 * @module
 */
import { hasCommand } from "../../tests/support/tools.ts";
import { type Load, Request } from "../h2load.ts";
import { figuresInTurns, type Report, usage } from "../measure.ts";
import { OURS, serving } from "../rivals.ts";
import { GrowthTable } from "./table.ts";

const ROUNDS = 3;
const IN_FLIGHT = [1, 10, 100];
/** Requests of one measurement: many enough that the price of a hundred connections is small. */
const REQUESTS = [5_000, 20_000, 20_000];
/** Requests by which the code has been compiled. */
const WARM_UP = 20_000;
/** When the memory is read, in requests. */
const ANSWERED = [10_000, 100_000, 1_000_000];
const USUAL: Load = { clients: 4, streams: 25 };

/** Measures a server with more and more calls in flight. */
export async function growRequests(report: Report): Promise<void> {
  if (!hasCommand("h2load")) return report.skip("the growth of a server: needs h2load");
  await using server = await serving(OURS, "/dev/null");
  await using request = await Request.open();
  let unanswered = await request.failures(server.port, WARM_UP, USUAL);
  const table = new GrowthTable(report, "greet serve, by calls in flight", {
    amounts: IN_FLIGHT,
    unit: "call",
  });
  for (
    const [what, loads] of [
      ["one connection", IN_FLIGHT.map((streams) => ({ clients: 1, streams }))],
      ["a connection for each", IN_FLIGHT.map((clients) => ({ clients, streams: 1 }))],
    ] as const
  ) {
    const figures = await figuresInTurns(ROUNDS, loads, async (load) => {
      const { perSecond, cpuMicros, p50Ms, unanswered: count } = await request
        .measure(server, REQUESTS[loads.indexOf(load)], load);
      unanswered += count;
      return { perSecond, cpuMicros, p50Ms };
    });
    table.row(`${what}: requests/s`, figures.map(({ perSecond }) => perSecond));
    table.row("  CPU a request, µs", figures.map(({ cpuMicros }) => cpuMicros));
    table.row("  until the answer, p50, ms", figures.map(({ p50Ms }) => p50Ms));
  }
  report.expect("requests without a greeting", unanswered, 0);
}

/** Measures the memory of a server that has answered more and more. */
export async function growMemory(report: Report): Promise<void> {
  if (!hasCommand("h2load")) return;
  await using server = await serving(OURS, "/dev/null");
  await using request = await Request.open();
  const figures: number[] = [];
  let done = 0;
  let failed = 0;
  for (const count of ANSWERED) {
    failed += await request.failures(server.port, count - done, USUAL);
    done = count;
    figures.push((await usage(server.pid)).memoryMB);
  }
  new GrowthTable(report, "greet serve, by requests answered", {
    amounts: ANSWERED,
    unit: "1,000 requests",
    unitSize: 1_000,
  })
    .rowWithFurther("memory, MB", figures);
  report.expect("failed requests", failed, 0);
}
