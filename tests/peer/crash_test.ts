/** A chat that is killed in a write, or runs out of memory, loses nothing that it acknowledged. */
import assert from "node:assert/strict";
import { Immortal } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { works } from "../support/tools.ts";

/** More messages than it takes to reach any of the writes below. */
const MOST = 200;

/** The number of messages of 300 kB, each of which takes several times its size in memory. */
const MANY = 100;

/** How long thirty megabytes may take to be delivered and read here, which takes 30 s of CPU. */
const DRAIN_MS = 180_000;

/** The exit code of a process killed by SIGKILL: 128 + 9. */
const KILLED = 137;

/** Makes the chat fail in one of its system calls. `-D` keeps the chat our own child. */
function strace(call: string, fault: string): string[] {
  const quiet = ["-D", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${call}`];
  return ["strace", ...quiet, "-e", `inject=${call}:${fault}`, "--"];
}

const canTrace = await works(...strace("getppid", "signal=KILL"), "true");

/** Asserts that Bob received all of Alice's messages once, in order. */
function assertNothingLost(alice: Immortal, bob: Immortal): void {
  const sent = new Set(alice.all("queued").map(({ body }) => body));
  const received = bob.received().map(({ body }) => body!);
  assert.deepEqual([...sent].filter((body) => !received.includes(body!)), [], "lost");
  assert.equal(new Set(received).size, received.length, "received twice");
  const numbers = received.filter((body) => body !== "the end").map(Number);
  assert.deepEqual(numbers, numbers.toSorted((a, b) => a - b), "in order");
}

for (const [victim, stored] of [["the sender", "queued"], ["the receiver", "message"]]) {
  for (const call of ["pwrite64", "fsync"]) {
    Deno.test({
      name:
        `${victim} is killed in ${call}: nothing is lost, repeated, or reordered (needs strace)`,
      ignore: !canTrace,
      async fn() {
        const [a, b] = freePorts();
        await using alice = new Immortal("Alice", a, b);
        await using bob = new Immortal("Bob", b, a);
        const dying = victim === "the sender" ? alice : bob;
        let next = 0;
        for (const when of [1, 4, 9]) {
          await dying.killAndStart(strace(call, `signal=KILL:when=${when}`));
          const { out } = dying.now.program;
          for (let sent = 1; !out.isOver && sent <= MOST; sent++) {
            await alice.now.say(`${next++}`).catch(() => {});
            // One by one, so that each message is a separate write.
            const isStored = () => out.isOver || dying.now.all(stored).length >= sent || undefined;
            await out.waitFor(isStored, () => `${sent} messages stored`);
          }
          assert.equal(await dying.now.program.code(), KILLED);
          await dying.killAndStart();
        }
        await alice.now.say("the end");
        const isEnd = () => bob.now.all("message").find(({ body }) => body === "the end");
        await bob.now.program.out.waitFor(isEnd, () => "the end");
        assertNothingLost(alice, bob);
      },
    });
  }
}

/** A control group with limited memory; nothing if we may not create one. */
function limitedMemory(bytes: number): { wrapper: string[] } & Disposable | undefined {
  // Version 1 and version 2 of control groups.
  for (const [root, limit] of [["memory/", "memory.limit_in_bytes"], ["", "memory.max"]]) {
    const folder = `/sys/fs/cgroup/${root}greet-test-${crypto.randomUUID()}`;
    try {
      Deno.mkdirSync(folder);
      Deno.writeTextFileSync(`${folder}/${limit}`, `${bytes}`);
    } catch {
      continue;
    }
    return {
      wrapper: ["sh", "-c", `echo $$ >${folder}/cgroup.procs; exec "$@"`, "sh"],
      [Symbol.dispose]: () => Deno.removeSync(folder),
    };
  }
}

const canLimit = (() => {
  using group = limitedMemory(1e9);
  return group !== undefined;
})();

Deno.test({
  name: "a receiver that runs out of memory loses nothing that it acknowledged (needs cgroups)",
  ignore: !canLimit,
  async fn() {
    const [a, b] = freePorts();
    using group = limitedMemory(60_000_000);
    await using alice = new Immortal("Alice", a, b);
    await using bob = new Immortal("Bob", b, a);
    await bob.killAndStart(group!.wrapper);
    await bob.now.until("welcome");
    const filler = " ".repeat(300_000);
    for (let i = 0; i < MANY; i++) await alice.now.say(`${i}${filler}`);
    await alice.now.until("queued", MANY);
    // Usually Bob is killed, but he may get by with the memory that he has.
    const { out } = bob.now.program;
    const isOver = () => out.isOver || bob.now.all("message").length === MANY || undefined;
    await out.waitFor(isOver, () => `the end of Bob, or ${MANY} messages`);
    await bob.killAndStart();
    await alice.now.say("the end");
    const isEnd = () => bob.now.all("message").find(({ body }) => body === "the end");
    await bob.now.program.out.waitFor(isEnd, () => "the end", DRAIN_MS);
    assertNothingLost(alice, bob);
  },
});
