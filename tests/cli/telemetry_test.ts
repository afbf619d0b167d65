/** The spans that the program exports with `OTEL_DENO=true`, as a collector receives them. */
import assert from "node:assert/strict";
import { type CollectedSpan, Collector } from "../support/collector.ts";
import { Program, run } from "../support/program.ts";

/** The runtime decides when a program is compiled whether it has telemetry. */
const isCompiled = Deno.env.has("GREET_BIN");

function telemetryTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name} (needs the source, not a binary)`, ignore: isCompiled, fn });
}

/** The two ends of a call of `Greet` to a server. */
async function traceOf(command: "serve" | "names"): Promise<CollectedSpan[]> {
  await using collector = new Collector();
  const env = { ...collector.env, OTEL_SERVICE_NAME: command };
  await using server = Program.greet([command, "0"], { env });
  const [, port] = await server.out.until(/listening on \D*(?:127\.0\.0\.1:)?(\d+)/);
  await run(["greet", port, "Bob"], { env: { ...collector.env, OTEL_SERVICE_NAME: "client" } });
  const names = ["greet.v1.Greeter/Greet", "grpc"];
  const spans = await collector.until(2, ({ name }) => names.includes(name));
  return spans.toSorted((a, b) => b.kind - a.kind);
}

telemetryTest("a greeting is a trace of a client's and a server's call", async () => {
  const [client, server] = await traceOf("serve");
  assert.deepEqual([client.kind, client.service, server.kind, server.service], [
    ...[3, "client"],
    ...[2, "serve"],
  ]);
  assert.equal(server.traceId, client.traceId);
  assert.equal(server.parentSpanId, client.spanId);
  for (const { attributes, failed } of [client, server]) {
    assert.equal(attributes["rpc.system.name"], "grpc");
    assert.equal(attributes["rpc.method"], "greet.v1.Greeter/Greet");
    assert.equal(attributes["rpc.response.status_code"], "OK");
    assert.equal(attributes["error.type"], undefined);
    assert.equal(failed, false);
  }
});

telemetryTest("a call that fails is marked as failed on both ends, with its status", async () => {
  for (const { attributes, failed } of await traceOf("names")) {
    assert.equal(attributes["rpc.response.status_code"], "UNIMPLEMENTED");
    assert.equal(attributes["error.type"], "UNIMPLEMENTED");
    assert.equal(failed, true);
  }
});

telemetryTest("a method that a server does not have is not the name of its span", async () => {
  const [client, server] = await traceOf("names");
  assert.deepEqual([client.name, server.name], ["greet.v1.Greeter/Greet", "grpc"]);
  assert.equal(server.attributes["rpc.method"], "_OTHER");
  assert.equal(server.attributes["rpc.method_original"], "greet.v1.Greeter/Greet");
});
