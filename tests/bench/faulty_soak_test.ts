/** The judges of the soak with faults: they must see what is wrong, and nothing else. */
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { Ledger } from "../../bench/soak/faults/ledger.ts";
import { growth, type Rest, type Sample, TOLERANCE } from "../../bench/soak/faults/levels.ts";
import { parseFaults, plan } from "../../bench/soak/faults/plan.ts";
import { Proxy } from "../../bench/soak/faults/proxy.ts";
import type { ChatEvent } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { inTime } from "../support/waiting.ts";

/** What Alice prints about messages that she has said. */
const queued = (...numbers: number[]) => numbers.map((n) => event("queued", n));
const delivered = (...numbers: number[]) => numbers.map((n) => event("delivered", n));
/** What Bob prints about messages from Alice. */
const shown = (...numbers: number[]) => numbers.map((n) => event("message", n));

function event(type: string, number: number): ChatEvent {
  return { type, id: `id ${number}`, from: "Alice", to: "Bob", body: `${number}` };
}

/** The account of a run of Alice, and of the runs of Bob. */
function accountOf(alice: ChatEvent[], ...bob: ChatEvent[][]) {
  const ledger = new Ledger();
  for (const event of alice) ledger.note("Alice", 1, event);
  for (const [run, events] of bob.entries()) {
    for (const event of events) ledger.note("Bob", run, event);
  }
  return ledger.between("Alice", "Bob");
}

const ALL = [...queued(0, 1, 2), ...delivered(0, 1, 2)];
const SOUND = {
  ...{ from: "Alice", to: "Bob", accepted: 3, delivered: 3 },
  ...{ lost: [], unreported: [], twice: [], reordered: [], unwanted: [] },
};

Deno.test("the soak's ledger finds nothing wrong with messages that arrive once and in order", () => {
  assert.deepEqual(accountOf(ALL, shown(0, 1, 2)), SOUND);
});

Deno.test("the soak's ledger sees a message that was accepted and never shown", () => {
  assert.deepEqual(accountOf(ALL, shown(0, 2)), { ...SOUND, lost: [1] });
});

Deno.test("the soak's ledger sees a message that was shown twice", () => {
  assert.deepEqual(accountOf(ALL, shown(0, 1, 1, 2)), { ...SOUND, twice: [1] });
  assert.deepEqual(accountOf(ALL, shown(0, 1), shown(1, 2)), { ...SOUND, twice: [1] });
});

Deno.test("in the soak's ledger, a message may come again after a kill, marked late", () => {
  const late = shown(1).map((event) => ({ ...event, late: true }));
  assert.deepEqual(accountOf(ALL, shown(0, 1), [...late, ...shown(2)]), SOUND);
});

Deno.test("the soak's ledger sees a message that was shown after a later one", () => {
  assert.deepEqual(accountOf(ALL, shown(0, 2, 1)), { ...SOUND, reordered: [1] });
});

Deno.test("the soak's ledger sees a message whose delivery was never reported", () => {
  const alice = [...queued(0, 1, 2), ...delivered(0, 2)];
  assert.deepEqual(
    accountOf(alice, shown(0, 1, 2)),
    { ...SOUND, delivered: 2, unreported: [1] },
  );
});

Deno.test("in the soak's ledger, the report of a delivery may be lost with a sender that is killed", () => {
  const ledger = new Ledger();
  for (const event of [...queued(0, 1, 2), ...delivered(0, 2)]) ledger.note("Alice", 1, event);
  for (const event of shown(0, 1, 2)) ledger.note("Bob", 1, event);
  ledger.note("Alice", 2, { type: "welcome" });
  assert.deepEqual(ledger.between("Alice", "Bob"), { ...SOUND, delivered: 2 });
});

Deno.test("the soak's ledger sees a message that was shown although it had failed", () => {
  const alice = [...queued(0), event("error", 1), ...queued(2), ...delivered(0, 2)];
  assert.deepEqual(
    accountOf(alice, shown(0, 1, 2)),
    { ...SOUND, accepted: 2, delivered: 2, unwanted: [1] },
  );
});

/** Samples of a process of which one figure changes from the second quarter on. */
function samplesWith(change: Partial<Sample>): Sample[] {
  const level: Sample = { memoryMB: 100, files: 30, threads: 7, ended: 0 };
  return Array.from({ length: 40 }, (_, i) => i < 20 ? level : { ...level, ...change });
}

function restsWith(change: Partial<Rest>): Rest[] {
  const level: Rest = { files: 30, threads: 5, cpuPercent: 0.5, wakeUps: 5 };
  return [level, level, level, { ...level, ...change }];
}

Deno.test("the soak sees memory that grows, beyond what lost connections leave behind", () => {
  const memoryMB = 100 + TOLERANCE.memoryMB + 20;
  assert.deepEqual(growth(samplesWith({ memoryMB }), restsWith({}), false), { MB: 20 });
  const lost = 20 / TOLERANCE.lostMB;
  assert.deepEqual(growth(samplesWith({ memoryMB, ended: lost }), restsWith({}), false), {});
});

Deno.test("the soak sees descriptors, threads and timers that are left behind", () => {
  const { files, threads, cpuPercent, wakeUps } = TOLERANCE;
  const left = {
    files: 30 + files + 1,
    threads: 5 + threads + 3,
    cpuPercent: 0.5 + cpuPercent + 2,
    wakeUps: 5 + wakeUps + 10,
  };
  assert.deepEqual(growth(samplesWith({}), restsWith(left), false), {
    "descriptors": 1,
    "threads": 3,
    "% CPU at rest": 2,
    "wake-ups a second at rest": 10,
  });
  assert.deepEqual(growth(samplesWith({}), restsWith({}), false), {});
});

Deno.test("a seed gives the same faults again, and another one gives others", () => {
  const first = (seed: number) => plan(parseFaults("all"), seed).take(20).toArray();
  assert.deepEqual(first(1), first(1));
  assert.notDeepEqual(first(1), first(2));
  const some = plan(parseFaults("kill,stop"), 1).take(50).map(({ fault }) => fault);
  assert.deepEqual([...new Set(some)].sort(), ["kill", "stop"]);
  assert.throws(() => parseFaults("kill,typo"), /typo/);
});

/** An echo server behind a proxy. */
async function openEcho() {
  await using stack = new AsyncDisposableStack();
  const [to, port] = freePorts().map(Number);
  const server = net.createServer((socket) => void socket.on("error", () => {}).pipe(socket));
  await new Promise<void>((resolve) => server.listen(to, "127.0.0.1", resolve));
  stack.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const proxy = stack.use(await Proxy.open({ host: "127.0.0.1", port, to }));
  const open = stack.move();
  return {
    ...{ proxy, to, connect: () => net.connect(port, "127.0.0.1").on("error", () => {}) },
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

async function echoOf(caller: net.Socket): Promise<string> {
  const [chunk] = await inTime(once(caller, "data"), "an echo");
  return `${chunk}`;
}

async function closeOf(caller: net.Socket): Promise<void> {
  const closed = new Promise<void>((resolve) => caller.resume().once("close", () => resolve()));
  await inTime(closed, "the end of a connection");
}

Deno.test("the soak's proxy holds bytes back while it is stalled, and then passes all of them on", async () => {
  await using echo = await openEcho();
  const caller = echo.connect();
  caller.write("one");
  assert.equal(await echoOf(caller), "one");
  echo.proxy.stall();
  caller.write("two");
  // A second connection is stalled as well.
  const second = echo.connect();
  second.write("three");
  const early: string[] = [];
  for (const socket of [caller, second]) socket.once("data", (chunk) => early.push(`${chunk}`));
  // Without a stall, the echoes would come before these.
  const direct = net.connect(echo.to, "127.0.0.1");
  for (let i = 0; i < 50; i++) {
    direct.write(`${i}`);
    await echoOf(direct);
  }
  direct.destroy();
  assert.deepEqual(early, []);
  echo.proxy.heal();
  assert.deepEqual(await Promise.all([echoOf(caller), echoOf(second)]), ["two", "three"]);
});

Deno.test("the soak's proxy resets connections, and refuses new ones until it heals", async () => {
  await using echo = await openEcho();
  const caller = echo.connect();
  caller.write("one");
  await echoOf(caller);
  echo.proxy.refuse();
  await closeOf(caller);
  await closeOf(echo.connect());
  echo.proxy.heal();
  const next = echo.connect();
  next.write("two");
  assert.equal(await echoOf(next), "two");
});
