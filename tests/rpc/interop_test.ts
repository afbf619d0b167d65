/** gRPC's interoperability tests: the official client against our server, and the other way round. */
import assert from "node:assert/strict";
import { serve } from "../../src/rpc/server.ts";
import { hasOpenssl } from "../support/certificates.ts";
import { CASE_NAMES, runCase, untilListening } from "../support/interop_cases.ts";
import { hasRubyTests, RubyTests, type Transport } from "../support/interop_ruby.ts";
import { testService } from "../support/interop_service.ts";
import { ROOT } from "../support/program.ts";

/** The cases in which the official client compresses its requests, which our servers refuse. */
const REFUSED = ["client_compressed_unary", "client_compressed_streaming"];

for (const transport of ["plaintext", "TLS"] as const) {
  interopTest(transport, "the official client and our server", async (ruby, t) => {
    const faults: unknown[] = [];
    await using server = await serve({
      host: "127.0.0.1",
      port: 0,
      services: [testService()],
      tls: await ruby.certificates(),
      onFault: (error) => faults.push(error),
    });
    for (const name of [...CASE_NAMES, ...REFUSED]) {
      await t.step(name, async () => {
        await using client = ruby.client(server.port, name);
        // Some cases make hundreds of calls, in Ruby, over TLS.
        const code = await client.code();
        if (!REFUSED.includes(name)) return assert.equal(code, 0, client.err.text);
        assert.match(client.err.text, /12:this server does not accept compressed requests/);
      });
    }
    assert.deepEqual(faults, []);
  });

  interopTest(transport, "our client and the official server", async (ruby, t) => {
    const { port, program } = ruby.server();
    await using _server = program;
    const server = { address: `localhost:${port}`, tls: await ruby.certificates() };
    await untilListening(server);
    for (const name of CASE_NAMES) await t.step(name, () => runCase(name, server));
  });
}

Deno.test("docs/interop.md has the result of every case", async () => {
  const rows = (await Deno.readTextFile(`${ROOT}docs/interop.md`))
    .matchAll(/^\| `(\w+)` +\| (\w+).*?\| ([\w ]*\w)/gm);
  const results = new Map(rows.map(([, name, theirs, ours]) => [name, `${theirs}, ${ours}`]));
  for (const name of CASE_NAMES) assert.equal(results.get(name), "passed, passed", name);
  for (const name of REFUSED) assert.equal(results.get(name), "refused, not applicable", name);
});

/** Tests with the official client and server, over one kind of connection. */
function interopTest(
  transport: Transport,
  what: string,
  run: (ruby: RubyTests, t: Deno.TestContext) => Promise<void>,
): void {
  const isSecure = transport === "TLS";
  Deno.test({
    name: `${what}, over ${transport} (needs ruby with grpc${isSecure ? ", openssl" : ""})`,
    ignore: !hasRubyTests || isSecure && !hasOpenssl,
    async fn(t) {
      await using ruby = await RubyTests.install(transport);
      await run(ruby, t);
    },
  });
}
