/**
 * The program under a Deno whose HTTP/2 crashes, in the ways that killed it.
 *
 * Without the call of `install` in `http2_guard.ts`, the server's and the peer's test
 * fail nearly every time. That the guard comes first on every thread is part of
 * `layers_test.ts`.
 */
import assert from "node:assert/strict";
import { greet } from "../../mod.ts";
import { dial } from "../../src/rpc/client.ts";
import { GREETER } from "../../src/rpc/services.ts";
import { parseTarget } from "../../src/net/address.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, Program, run } from "../support/program.ts";
import { hasCommand, isPosix, outputOf } from "../support/tools.ts";

const AFFECTED = "2.9.6";

/** A Deno of the affected version, if npm can get it; a compiled binary brings its own. */
async function findDeno(): Promise<string | undefined> {
  if (Deno.env.get("GREET_BIN")) return undefined;
  if (Deno.version.deno === AFFECTED) return Deno.execPath();
  const npx = isPosix ? "npx" : "npx.cmd";
  const script = "console.log(`${Deno.version.deno} ${Deno.execPath()}`)";
  const printed = await outputOf(npx, "-y", `deno@${AFFECTED}`, "eval", script);
  const [, path] = /^2\.9\.6 (.+)\n/.exec(printed ?? "") ?? [];
  return path;
}

const affected = await findDeno();

const hasH2load = hasCommand("h2load");

function greetAffected(...args: string[]): Program {
  return new Program([...greetCommand(affected), ...args]);
}

function affectedTest(name: string, fn: () => Promise<void>, needs = "", has = true): void {
  const ignore = affected === undefined || !has;
  Deno.test({ name: `${name} (needs Deno ${AFFECTED} from npm${needs})`, ignore, fn });
}

async function servingAffected() {
  const server = greetAffected("serve", "0");
  const [, port] = await server.out.until(/listening on (\d+)\n/);
  return { server, port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

affectedTest("a server outlives clients that made 300 calls and close politely", async () => {
  await using greeter = await servingAffected();
  for (let round = 0; round < 5; round++) {
    using channel = dial(parseTarget(greeter.port));
    for (let call = 0; call < 300; call++) {
      await channel.call(GREETER, "Greet", { name: "Bob" }, { timeoutMs: 10_000 });
    }
  }
  assert.equal(await greet(greeter.port, "Alice"), "Hello, Alice.");
  greeter.server.kill("SIGTERM");
  assert.equal(await greeter.server.code(), 0);
});

affectedTest(
  "a server outlives three rounds of h2load",
  async () => {
    await using greeter = await servingAffected();
    const request = await Deno.makeTempFile();
    try {
      // A gRPC frame: not compressed, 5 bytes long, field 1 of UserInfo is "Bob".
      await Deno.writeFile(request, new Uint8Array([0, 0, 0, 0, 5, 0x0a, 3, 0x42, 0x6f, 0x62]));
      for (let round = 0; round < 3; round++) {
        const load = new Deno.Command("h2load", {
          args: [
            ...["-n", "5000", "-c", "10", "-m", "10", "-d", request],
            ...["-H", "content-type: application/grpc", "-H", "te: trailers"],
            `http://127.0.0.1:${greeter.port}/greet.v1.Greeter/Greet`,
          ],
        });
        const { stdout } = await load.output();
        assert.match(new TextDecoder().decode(stdout), /5000 succeeded, 0 failed, 0 errored/);
      }
    } finally {
      await Deno.remove(request);
    }
    assert.equal(await greet(greeter.port, "Alice"), "Hello, Alice.");
  },
  " and h2load",
  hasH2load,
);

affectedTest("a peer outlives others that come, talk and leave politely", async () => {
  const [a, b] = freePorts();
  await using alice = greetAffected("chat", "Alice", a, b);
  await alice.out.until("Waiting");
  const input = Array.from({ length: 250 }, (_, i) => `line ${i}\n`).join("");
  for (let round = 1; round <= 5; round++) {
    assert.equal((await run(["chat", "Bob", b, a], { input })).code, 0);
    await alice.out.until(new RegExp(`(Bob has left\\.\n[^]*){${round}}`));
  }
  await alice.end();
  alice.kill("SIGTERM");
  assert.equal(await alice.code(), 0);
});
