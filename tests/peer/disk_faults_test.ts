/**
 * A disk that fails in any system call loses nothing that was acknowledged, and acknowledges nothing
 * that it lost. With `GREET_TEST_FAULTS=all`, every call of a whole chat fails once, in every way.
 */
import assert from "node:assert/strict";
import { CALLS, canInject, chatWith, faultsOf, SEED } from "../support/disk_faults.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";

for (const traced of CALLS) {
  Deno.test({
    name: `a chat whose disk fails in ${traced.call} keeps its promises (needs strace)`,
    ignore: !canInject,
    // Bob calls Alice between her two runs, and may leave in the middle of that.
    ...GRPC_TIMERS_OUTLIVE_CHANNELS,
    async fn() {
      const { calls, broken } = await chatWith(traced);
      assert(calls > 0, "the call was not traced");
      assert.deepEqual(broken, [], "without a fault");
      for (const fault of faultsOf(traced.call, calls)) {
        const outcome = await chatWith(traced, fault);
        const which = `${fault.call} ${fault.when}: ${fault.effect}, seed ${SEED}`;
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
  ...GRPC_TIMERS_OUTLIVE_CHANNELS,
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
