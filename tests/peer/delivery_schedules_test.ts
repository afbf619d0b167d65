/** Delivery under every schedule: what was said arrives once, in order, and in the end completely. */
import { newIdentity } from "../../src/identity/identity.ts";
import { scheduleTest } from "../support/schedules.ts";
import { type CastMember, inChat, steps } from "../support/virtual_peers.ts";

const [alice, bob, carol] = await Promise.all(["Alice", "Bob", "Carol"].map(newIdentity));

/** Tests that whatever happens to some peers, nothing of what they say is lost, repeated or swapped. */
function deliveryTest(name: string, cast: readonly CastMember[], runs: number): void {
  scheduleTest(name, steps, (simulation, steps) =>
    inChat(simulation, cast, async (chat) => {
      await chat.take(steps);
      await chat.heal(() => chat.isComplete);
    }), runs);
}

deliveryTest("what two peers say arrives once, in order, and in the end completely", [
  { name: "Alice", port: 1, targets: ["2"], isDurable: true },
  { name: "Bob", port: 2, targets: ["1"], isDurable: true },
], 20);

deliveryTest("the same holds if only one of them can dial", [
  { name: "Alice", port: 1, targets: ["Bob"], identity: alice, isDurable: true },
  { name: "Bob", port: 2, targets: ["1"], identity: bob, isDurable: true },
], 20);

deliveryTest("the same holds among three peers with keys", [
  { name: "Alice", port: 1, targets: ["2", "3"], identity: alice, isDurable: true },
  { name: "Bob", port: 2, targets: ["1", "Carol@3"], identity: bob, isDurable: true },
  { name: "Carol", port: 3, targets: ["2", "1"], identity: carol, isDurable: true },
], 10);

deliveryTest("without a journal, what has not failed arrives once, in order, and completely", [
  { name: "Alice", port: 1, targets: ["2"], isDurable: false },
  { name: "Bob", port: 2, targets: ["1"], isDurable: true },
], 20);
