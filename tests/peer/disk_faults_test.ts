/**
 * A disk that fails in any system call loses nothing that was acknowledged, and acknowledges nothing
 * that it lost. With `GREET_TEST_FAULTS=all`, every call of a whole chat fails once, in every way.
 */
import assert from "node:assert/strict";
import { CALLS, canInject, chatWith, type DiskFault } from "../support/disk_faults.ts";
import { randomNumbers } from "../support/random.ts";

/** How a call can fail: once, or from then on. */
const WAYS = [
  { effect: "error=EIO", from: "" },
  { effect: "error=EIO", from: "+" },
  { effect: "error=ENOSPC", from: "" },
  { effect: "error=EINTR", from: "" },
  { effect: "delay_enter=200000", from: "" },
];

const isComplete = Deno.env.get("GREET_TEST_FAULTS") === "all";
const seed = Number(
  Deno.env.get("GREET_TEST_SEED") ?? crypto.getRandomValues(new Uint16Array(1))[0],
);
const random = randomNumbers(seed);

/** All failures of a call that occurs a number of times, or one of them. */
function faults(call: string, times: number): DiskFault[] {
  const all = Array.from({ length: times }, (_, i) => i + 1)
    .flatMap((n) => WAYS.map(({ effect, from }) => ({ call, effect, when: `${n}${from}` })));
  return isComplete ? all : [all[Math.floor(random() * all.length)]];
}

for (const traced of CALLS) {
  Deno.test({
    name: `a chat whose disk fails in ${traced.call} keeps its promises (needs strace)`,
    ignore: !canInject,
    async fn() {
      const { calls, broken } = await chatWith(traced);
      assert(calls > 0, "the call was not traced");
      assert.deepEqual(broken, [], "without a fault");
      for (const fault of faults(traced.call, calls)) {
        const outcome = await chatWith(traced, fault);
        const which = `${fault.call} ${fault.when}: ${fault.effect}, seed ${seed}`;
        assert.deepEqual(outcome.broken, [], `${which}\n${outcome.err}`);
        assert([0, 1].includes(outcome.code), which);
      }
    },
  });
}

/** Bob got these words although Alice had been told that they failed: they were in the log of SQLite. */
Deno.test({
  name: "what could not be forced to the disk is not sent by the next run (needs strace)",
  ignore: !canInject,
  async fn() {
    const traced = CALLS.find(({ call }) => call === "fsync")!;
    const { calls } = await chatWith(traced);
    // The files of a new home come first, then the messages.
    const when = `${Math.floor(calls * 2 / 3)}+`;
    const { broken, troubles } = await chatWith(traced, { ...traced, effect: "error=EIO", when });
    assert.deepEqual(broken, []);
    assert(troubles.includes("the journal cannot be used: reading or writing the disk failed"));
  },
});
