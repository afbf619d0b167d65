/** A greeting server on several threads behaves like one server. */
import assert from "node:assert/strict";
import net from "node:net";
import { greet } from "../../mod.ts";
import { Authority, hasOpenssl } from "../support/certificates.ts";
import { run, serving } from "../support/program.ts";
import { inTime } from "../support/waiting.ts";

const isLinux = Deno.build.os === "linux";

/** A test that needs Linux. */
function linuxTest(name: string, fn: () => Promise<void>, canRun = true): void {
  Deno.test({ name: `${name} (needs Linux)`, ignore: !isLinux || !canRun, fn });
}

/** The number of sockets that listen on a port of this machine. Source: proc(5), /proc/net/tcp: 0A is LISTEN. */
async function listeners(port: string): Promise<number> {
  const hex = Number(port).toString(16).toUpperCase().padStart(4, "0");
  const table = await Deno.readTextFile("/proc/net/tcp");
  return table.match(new RegExp(`^ *\\d+: \\w+:${hex} \\w+:0000 0A `, "gm"))?.length ?? 0;
}

linuxTest("threads share a port, and each request is in one log once", async () => {
  await using serve = await serving(["--threads", "3"]);
  const { server, port } = serve;
  assert.equal(await listeners(port), 3);
  const names = Array.from({ length: 60 }, (_, i) => `Guest ${i}`);
  // Each call has its own connection, so that every thread gets some.
  const greetings = await Promise.all(names.map((name) => greet(port, name)));
  assert.deepEqual(greetings, names.map((name) => `Hello, ${name}.`));
  await server.stop();
  const [first, ...log] = server.out.text.trimEnd().split("\n");
  assert.equal(first, `Server started, listening on ${port}`);
  const expected = names.map((name) => `[Server] Received request from user named '${name}'`);
  assert.deepEqual(log.toSorted(), expected.toSorted());
  assert.equal(server.err.text, "");
});

linuxTest("a port in use is not shared with its owner", async () => {
  await using first = await serving(["--threads", "2"]);
  for (const threads of ["1", "2"]) {
    const { code, err } = await run(["serve", first.port, "--threads", threads]);
    assert.equal(code, 1);
    assert.match(err, /^greet: error: port \d+ is already in use\ngreet: hint: [^\n]*\n$/);
  }
  assert.equal(await greet(first.port, "Bob"), "Hello, Bob.");
});

linuxTest("stopping lets each thread finish, and closes idle connections", async () => {
  await using serve = await serving(["--threads", "2"]);
  const { server, port } = serve;
  const idle = net.connect(Number(port), "127.0.0.1");
  const closed = new Promise<void>((resolve) => idle.once("close", () => resolve()));
  idle.on("error", () => {});
  await new Promise<void>((resolve) => idle.once("connect", () => resolve()));
  await server.stop();
  await inTime(closed, "the end of an idle connection");
  assert.equal(await listeners(port), 0);
});

linuxTest("every thread uses TLS if the server does", async () => {
  await using authority = await Authority.create();
  const { cert, key } = await authority.issue("server");
  await using serve = await serving(["--threads", "2", "--cert", cert, "--key", key]);
  const names = Array.from({ length: 8 }, (_, i) => `Guest ${i}`);
  for (const name of names) {
    const { code, err } = await run(["greet", serve.port, name, "--cacert", authority.cert]);
    assert.equal(code, 0, err);
  }
  const plain = await run(["greet", serve.port, "Bob"]);
  assert.match(plain.err, /the other side speaks TLS/);
}, hasOpenssl);

linuxTest(
  "an unusable certificate is reported once, not once for each thread",
  async () => {
    const { code, err } = await run([
      ...[
        "serve",
        "0",
        "--threads",
        "3",
        "--cert",
        "/nowhere/cert.pem",
        "--key",
        "/nowhere/key.pem",
      ],
    ]);
    assert.equal(code, 1);
    assert.match(err, /^greet: error: [^\n]*\n(greet: hint: [^\n]*\n)?$/);
  },
);
