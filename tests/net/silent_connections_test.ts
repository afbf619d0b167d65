/** Connections that say nothing: they are bounded, and closed after 10 s unless they have spoken. */
import assert from "node:assert/strict";
import net from "node:net";
import { greet } from "../../mod.ts";
import { dial } from "../../src/rpc/client.ts";
import { GREETER } from "../../src/rpc/services.ts";
import { parseTarget } from "../../src/net/address.ts";
import { serving } from "../support/program.ts";
import { inTime, PATIENCE_MS } from "../support/waiting.ts";

Deno.test("of 2,000 silent connections 1,000 may stay, for 10 s; callers are served, and may fall silent", async () => {
  await using greeter = await serving();
  using channel = dial(parseTarget(greeter.port));
  await channel.call(GREETER, "Greet", { name: "Alice" }, { timeoutMs: PATIENCE_MS });
  const dropped = channel.dropped().then(() => true);

  let closed = 0;
  const half = Promise.withResolvers<void>();
  const all = Promise.withResolvers<void>();
  for (let i = 0; i < 2_000; i++) {
    const silent = net.connect(Number(greeter.port), "127.0.0.1").resume();
    silent.on("error", () => {});
    silent.on("close", () => {
      closed++;
      if (closed === 1_000) half.resolve();
      if (closed === 2_000) all.resolve();
    });
    // Every other one sends a part of the preface of HTTP/2.
    if (i % 2 === 0) silent.write("PRI *");
  }
  await inTime(half.promise, () => `1,000 closed, not ${closed}`, 9_500);
  assert.equal(await greet(greeter.port, "Bob"), "Hello, Bob.");
  await inTime(all.promise, () => `2,000 closed, not ${closed}`);

  // A connection that has made a call may be silent for as long as it likes.
  assert.equal(await Promise.race([dropped, Promise.resolve(false)]), false);
});
