/** HTTP/2 pings on the connection of a channel. */
import assert from "node:assert/strict";
import { Pulse } from "../../src/base/timing.ts";
import { parseTarget } from "../../src/net/address.ts";
import { dial } from "../../src/rpc/client.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { GREETER } from "../../src/rpc/services.ts";
import { inTime } from "../support/waiting.ts";
import { WireTap } from "../support/wire_tap.ts";

const PATIENT = { timeoutMs: 30_000 };

/** A channel to a server that notes, for each ping, the name in the last call before it. */
async function pingable() {
  await using stack = new AsyncDisposableStack();
  const pinged: string[] = [];
  const heard = new Pulse();
  const greeter = implement(GREETER, {
    Greet({ name }, call) {
      call.onPing(() => {
        pinged.push(name);
        heard.beat();
      });
      return { greeting: `Hello, ${name}.` };
    },
  });
  const server = stack.use(await serve({ host: "127.0.0.1", port: 0, services: [greeter] }));
  const wire = stack.use(await WireTap.open(0, () => server.port));
  const channel = stack.use(dial(parseTarget(`${wire.port}`)));
  const owned = stack.move();
  return {
    channel,
    wire,
    greet: (name: string) => channel.call(GREETER, "Greet", { name }, PATIENT),
    /** Waits until the server has heard a number of pings, and returns what it has noted. */
    async pinged(count: number): Promise<string[]> {
      while (pinged.length < count) await inTime(heard.next, `${count} pings`);
      return pinged;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

Deno.test("pings are answered, and heard by the handler of the last call before them", async () => {
  await using pair = await pingable();
  await pair.greet("Bob");
  await pair.channel.ping(PATIENT);
  await pair.channel.ping(PATIENT);
  await pair.greet("Alice");
  await pair.channel.ping(PATIENT);
  assert.deepEqual(await pair.pinged(3), ["Bob", "Bob", "Alice"]);
});

Deno.test("a ping without an answer fails in time, or when it is no longer wanted", async () => {
  await using pair = await pingable();
  await pair.greet("Bob");
  pair.wire.unplug();
  const message = `127.0.0.1:${pair.wire.port}: no answer within 0.05 s`;
  const late = inTime(pair.channel.ping({ timeoutMs: 50 }), "the end of the ping", 5_000);
  await assert.rejects(late, { code: "DEADLINE_EXCEEDED", message });
  const leave = new AbortController();
  const ping = pair.channel.ping({ ...PATIENT, signal: leave.signal });
  leave.abort(new Error("left"));
  await assert.rejects(ping, /left/);
  await assert.rejects(pair.channel.ping({ ...PATIENT, signal: leave.signal }), /left/);
});

Deno.test("a ping without a connection fails at once", async () => {
  await using pair = await pingable();
  await assert.rejects(pair.channel.ping(PATIENT), { code: "UNAVAILABLE" });
  await pair.greet("Bob");
  const dropped = pair.channel.dropped();
  const ping = assert.rejects(pair.channel.ping(PATIENT), { code: "UNAVAILABLE" });
  pair.wire.unplug();
  await pair.wire[Symbol.asyncDispose]();
  await inTime(Promise.all([ping, dropped]), "the end of the connection");
  await assert.rejects(pair.channel.ping(PATIENT), { code: "UNAVAILABLE" });
});
