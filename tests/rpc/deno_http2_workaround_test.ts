/**
 * Runs the program on a Deno version with the HTTP/2 crash, in ways that used to trigger it.
 *
 * Without the call to `install` in `deno_http2_workaround.ts`, the tests of the server and of the
 * peer fail nearly every time. `structure_test.ts` checks that the workaround is loaded first.
 */
import assert from "node:assert/strict";
import { greet } from "../../mod.ts";
import { dial } from "../../src/rpc/client.ts";
import { GREETER } from "../../src/rpc/services.ts";
import { parseTarget } from "../../src/net/address.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, Program, run } from "../support/program.ts";
import { hasCommand, isPosix, outputOf } from "../support/tools.ts";
import { PATIENCE_MS } from "../support/waiting.ts";

const AFFECTED = "2.9.6";

/** The affected Deno version, if npm can install it. A compiled binary contains its own Deno. */
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

affectedTest("a server survives clients that make 300 calls and close with a GOAWAY", async () => {
  await using greeter = await servingAffected();
  for (let round = 0; round < 5; round++) {
    using channel = dial(parseTarget(greeter.port));
    for (let call = 0; call < 300; call++) {
      await channel.call(GREETER, "Greet", { name: "Bob" }, { timeoutMs: PATIENCE_MS });
    }
  }
  assert.equal(await greet(greeter.port, "Alice"), "Hello, Alice.");
  await greeter.server.stop();
});

affectedTest(
  "a server survives three rounds of h2load",
  async () => {
    await using greeter = await servingAffected();
    const request = await Deno.makeTempFile();
    try {
      // A gRPC frame: uncompressed, 5 bytes long, field 1 of UserInfo is "Bob".
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

affectedTest("a peer survives others that join, talk and leave", async () => {
  const [a, b] = freePorts();
  await using alice = greetAffected("chat", "Alice", a, b);
  await alice.out.until("Waiting");
  const input = Array.from({ length: 250 }, (_, i) => `line ${i}\n`).join("");
  for (let round = 1; round <= 5; round++) {
    assert.equal((await run(["chat", "Bob", b, a], { input })).code, 0);
    await alice.out.until(new RegExp(`(Bob has left\\.\n[^]*){${round}}`));
  }
  await alice.leave();
});
