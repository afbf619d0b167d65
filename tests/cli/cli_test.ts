/** The output and exit codes of the commands. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { Bot } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, Program, ROOT, run, serving } from "../support/program.ts";
import { hasCommand, isLinux, posixTest, works } from "../support/tools.ts";
import { inTime } from "../support/waiting.ts";

Deno.test("a server and two clients print exactly the expected transcript", async () => {
  await using greeter = await serving();
  const { code, out, err } = await run(["greet", greeter.port, "Bob", "Alice"]);
  assert.equal(err, "");
  assert.equal(code, 0);
  const [first, second, ...greetings] = out.trimEnd().split("\n");
  assert.deepEqual([first, second], ["Client 1 started", "Client 2 started"]);
  assert.deepEqual(greetings.sort(), [
    '[Alice] Message received from server: "Hello, Alice."',
    '[Bob] Message received from server: "Hello, Bob."',
  ]);
  await greeter.server.stop();
  const [started, ...log] = greeter.server.out.text.trimEnd().split("\n");
  assert.equal(started, `Server started, listening on ${greeter.port}`);
  assert.deepEqual(log.sort(), [
    "[Server] Received request from user named 'Alice'",
    "[Server] Received request from user named 'Bob'",
  ]);
  assert.equal(greeter.server.err.text, "");
});

Deno.test("any number of threads greets every name", async () => {
  await using greeter = await serving();
  assert.equal((await run(["greet", greeter.port, "Bob"])).code, 0);
  for (const threads of ["1", "3", "9"]) {
    const names = ["a", "b", "c", "d", "e"];
    const { code, out } = await run(["greet", greeter.port, ...names, "--threads", threads]);
    assert.equal(code, 0);
    assert.equal(out.match(/Message received/g)?.length, names.length);
  }
});

Deno.test("a name is trimmed and then greeted unchanged", async () => {
  await using greeter = await serving();
  const { out } = await run(["greet", greeter.port, "  Zoë 👩‍🚀 "]);
  assert.match(out, /^\[Zoë 👩‍🚀\] Message received from server: "Hello, Zoë 👩‍🚀\."$/m);
  await greeter.server.out.until("named 'Zoë 👩‍🚀'");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  posixTest(`serve exits with 0 on ${signal} while clients are connected`, async () => {
    await using greeter = await serving();
    const idle = await Deno.connect({ hostname: "127.0.0.1", port: Number(greeter.port) });
    greeter.server.kill(signal);
    assert.equal(await greeter.server.code(), 0);
    idle.close();
  });
}

posixTest(
  "serve stops gracefully, exit 0, although deno task repeats the SIGINT of a terminal",
  async () => {
    await using greeter = await serving();
    const session = http2.connect(`http://127.0.0.1:${greeter.port}`);
    // Keeps the server waiting for its end.
    session.request({ ":method": "POST", ":path": "/greet.v1.Greeter/Greet" }).on(
      "error",
      () => {},
    );
    await inTime(once(session, "remoteSettings"), "a connection");
    const stopping = once(session, "goaway");
    greeter.server.kill("SIGINT");
    await inTime(stopping, "the server to stop");
    greeter.server.kill("SIGINT");
    assert.equal(await greeter.server.code(), 0);
    session.destroy();
  },
);

posixTest("a second SIGINT ends the program at once, exit 130", async () => {
  const [a, b] = freePorts();
  await using bob = new Bot(["Bob", b, a]);
  await using alice = new Bot(["Alice", a, b]);
  await alice.until("welcome");
  bob.program.kill("SIGSTOP");
  await alice.say("Hello?");
  await alice.until("queued");
  const ended = alice.program.code();
  const timer = setInterval(() => alice.program.kill("SIGINT"), 100);
  assert.equal(await ended, 130);
  clearInterval(timer);
  bob.program.kill("SIGCONT");
});

Deno.test("serve --json logs one object a line and nothing else", async () => {
  await using server = Program.greet(["serve", "0", "--json"]);
  const [, port] = await server.out.until(/"port":(\d+)/);
  await run(["greet", port, "Bob\u2764\ufe0f"]);
  const [, line] = await server.out.until(/\n(.+)\n/);
  const { at, from, ...rest } = JSON.parse(line);
  assert.deepEqual(rest, { type: "request", name: "Bob❤️", status: "OK" });
  assert(Math.abs(Date.parse(at) - Date.now()) < 60_000);
  assert.match(from, /^127\.0\.0\.1:\d+$/);
  assert.deepEqual(JSON.parse(server.out.text.split("\n")[0]), {
    type: "listening",
    host: "127.0.0.1",
    port: Number(port),
  });
});

Deno.test("greet --json prints one object a name", async () => {
  await using greeter = await serving();
  const { out } = await run(["greet", greeter.port, "Bob", "--json"]);
  assert.deepEqual(JSON.parse(out), { type: "greeting", name: "Bob", greeting: "Hello, Bob." });
  const [free] = freePorts();
  const failed = await run(["greet", free, "Bob", "--json"]);
  assert.equal(failed.code, 78);
  assert.deepEqual(JSON.parse(failed.out), {
    type: "error",
    name: "Bob",
    code: "UNAVAILABLE",
    message: `127.0.0.1:${free}: connection refused`,
  });
});

for (const args of [["serve", "0"], ["serve"], ["names", "0"]]) {
  Deno.test(`a port that was chosen is reported even with --quiet: greet ${args.join(" ")}`, async () => {
    await using server = Program.greet([...args, "--quiet"]);
    await server.out.until(/^(Server|Naming server) started, listening on \d+\n$/);
  });
}

Deno.test("--quiet leaves out the port that was asked for, and other progress", async () => {
  await using server = Program.greet(["serve", "0", "--quiet", "--json"]);
  await server.out.until("listening");
  await using greeter = await serving();
  const { out } = await run(["greet", greeter.port, "Bob", "--quiet"]);
  assert.equal(out, '[Bob] Message received from server: "Hello, Bob."\n');
});

Deno.test("an unreachable server is reported for each name, and the remedy once, exit 78", async () => {
  const [free] = freePorts();
  const { code, err } = await run(["greet", free, "Bob", "Alice"]);
  assert.equal(code, 78);
  const [hint, ...errors] = err.trimEnd().split("\n").toReversed();
  assert.equal(hint, "greet: hint: is the server running? --wait waits for it to come up");
  assert.deepEqual(errors.sort(), [
    `greet: error: [Alice] 127.0.0.1:${free}: connection refused`,
    `greet: error: [Bob] 127.0.0.1:${free}: connection refused`,
  ]);
});

Deno.test("--wait waits for the server to come up", async () => {
  const [port] = freePorts();
  await using client = Program.greet(["greet", port, "Bob", "--wait"]);
  await client.out.until("Client 1 started");
  await using server = Program.greet(["serve", port]);
  assert.equal(await client.code(), 0);
  assert.match(client.out.text, /Hello, Bob\./);
  server.kill();
});

Deno.test("--wait waits no longer than --max-time, exit 68", async () => {
  const [free] = freePorts();
  const { code, err } = await run(["greet", free, "Bob", "--wait", "--max-time", "0.3"]);
  assert.equal(code, 68);
  assert.equal(err, `greet: error: [Bob] 127.0.0.1:${free}: no connection within 0.3 s\n`);
});

posixTest("--max-time ends the wait for a suspended server, exit 68", async () => {
  await using greeter = await serving();
  assert.equal((await run(["greet", greeter.port, "Bob"])).code, 0);
  greeter.server.kill("SIGSTOP");
  const { code, err } = await run(["greet", greeter.port, "Bob", "Alice", "--max-time", "0.5"]);
  assert.equal(code, 68);
  assert.equal(err.match(/no (connection|answer) within 0\.5 s/g)?.length, 2);
  greeter.server.kill("SIGCONT");
  assert.equal((await run(["greet", greeter.port, "Bob"])).code, 0);
});

posixTest("Ctrl-C before the work is done exits with 130", async () => {
  const [free] = freePorts();
  await using client = Program.greet(["greet", free, "Bob", "Alice", "--wait"]);
  await client.out.until("Client 2 started");
  client.kill("SIGINT");
  assert.equal(await client.code(), 130);
  assert.equal(client.err.text, "");
});

/** SETTINGS and a GOAWAY in one segment. */
const OPENED_AND_CLOSED = Uint8Array.of(
  ...[0, 0, 0, 4, 0, 0, 0, 0, 0],
  ...[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
);

Deno.test("a server that closes each connection as it opens it cannot hang --wait", async () => {
  let connections = 0;
  const server = net.createServer((socket) => {
    connections++;
    socket.on("error", () => {}).resume().write(OPENED_AND_CLOSED);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = `${(server.address() as net.AddressInfo).port}`;
  const { code, err } = await run(["greet", port, "Bob", "--wait", "--max-time", "1"]);
  assert.equal(code, 68);
  assert.equal(err, `greet: error: [Bob] 127.0.0.1:${port}: no connection within 1 s\n`);
  assert(connections > 1, "it tries again");
  assert(connections < 50, `it pauses between attempts: ${connections}`);
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("a Unix socket is a target, and a missing one is reported", async () => {
  const { code, err } = await run(["greet", "unix:/tmp/greet-no-such.sock", "Bob"]);
  assert.equal(code, 78);
  assert.equal(
    err,
    "greet: error: [Bob] unix:/tmp/greet-no-such.sock: there is no such socket\n" +
      "greet: hint: is the server running? --wait waits for it to come up\n",
  );
});

Deno.test("an unknown host is reported, exit 78", async () => {
  const { code, err } = await run(["greet", "no-such-host.invalid:1", "Bob"]);
  assert.equal(code, 78);
  assert.equal(err, "greet: error: [Bob] no-such-host.invalid:1: host not found\n");
});

Deno.test("a port in use is reported in one line with a hint, exit 1", async () => {
  await using greeter = await serving();
  const { code, out, err } = await run(["serve", greeter.port]);
  assert.equal(code, 1);
  assert.equal(out, "");
  assert.equal(
    err,
    `greet: error: port ${greeter.port} is already in use\n` +
      "greet: hint: choose another port, or 0 for a free one\n",
  );
  const chat = await run(["chat", "Alice", greeter.port, "1"]);
  assert.equal(chat.code, 1);
  assert.match(
    chat.err,
    /already in use\n.*if the other peer listens there: greet chat Alice 1 \d+/,
  );
});

Deno.test("an address of another machine cannot be listened on, exit 1", async () => {
  const { code, err } = await run(["serve", "0", "--host", "192.0.2.1", "--plaintext"]);
  assert.equal(code, 1);
  assert.match(err, /^greet: error: 192\.0\.2\.1 is not an address of this machine\n/);
});

const canDropPrivileges = isLinux &&
  await works("setpriv", "--bounding-set=-net_bind_service", "true");

Deno.test({
  name: "a privileged port is reported with a hint, exit 1 (needs Linux, root and setpriv)",
  ignore: !canDropPrivileges,
  async fn() {
    const unprivileged = ["setpriv", "--bounding-set=-net_bind_service", "--inh-caps=-all"];
    await using server = new Program([...unprivileged, ...greetCommand(), "serve", "81"]);
    assert.equal(await server.code(), 1);
    assert.equal(
      server.err.text,
      "greet: error: port 81 is reserved for privileged users\n" +
        "greet: hint: choose a port from 1024 up\n",
    );
  },
});

const USAGE_ERRORS: readonly [args: string[], error: string, hint?: string][] = [
  [["srve"], 'there is no command "srve"', "did you mean greet serve?"],
  [["frobnicate"], 'there is no command "frobnicate"', "see greet --help"],
  [["serve", "--jsn"], 'greet serve has no option "--jsn"', "did you mean --json?"],
  [["serve", "-x"], 'greet serve has no option "-x"', "see greet serve --help"],
  [["serve", "--constructor"], 'greet serve has no option "--constructor"'],
  [["serve", "--host"], "--host needs a value: --host ADDRESS"],
  [["serve", "--json=yes"], "--json takes no value"],
  [
    ["serve", "65536"],
    '"65536" is not a port',
    "a port is a number from 0 to 65535; 0 chooses a free one",
  ],
  [["serve", "http"], '"http" is not a port'],
  [["serve", "1", "2"], 'unexpected argument "2"', "usage: greet serve [PORT] [OPTION...]"],
  [["greet"], "greet greet needs TARGET NAME"],
  [["greet", "1"], "greet greet needs NAME"],
  [["greet", "0", "Bob"], '"0" has no valid port'],
  [
    ["greet", "localhost", "Bob"],
    'the target "localhost" has no port',
    "write localhost:PORT",
  ],
  [["greet", "1", ""], 'the name "" is empty'],
  [["greet", "1", "Bob", "a/b"], "the name \"a/b\" has a '/'"],
  [["greet", "1", "x".repeat(100)], `the name "${"x".repeat(24)}…" is longer than 64 characters`],
  [["greet", "1", "a\x1b[31m"], 'the name "a\\u001b[31m" has control or invisible characters'],
  [
    ["greet", "1", "Bob", "--max-time", "soon"],
    '--max-time takes a number above 0 and up to 86400, not "soon"',
  ],
  [
    ["greet", "1", "Bob", "--max-time", "0"],
    '--max-time takes a number above 0 and up to 86400, not "0"',
  ],
  [
    ["greet", "1", "Bob", "--threads", "1.5"],
    '--threads takes a whole number above 0 and up to 1024, not "1.5"',
  ],
  [["chat", "Alice"], "greet chat needs PORT PEER"],
  [["chat", "Alice", "55555", "55555"], "the peer 55555 has your own address"],
  [["chat", "Alice", "55555", "55556", "55555"], "the peer 55555 has your own address"],
  [["chat", "Alice", "0", "1", "127.0.0.1:1"], "127.0.0.1:1 is given twice"],
  [
    ["chat", "Alice", "55555", "55556", "--history", "-1"],
    '--history takes a whole number from 0 to 10000, not "-1"',
  ],
  [
    ["chat", "Alice", "55555", "55556", "--linger", "soon"],
    '--linger takes a number from 0 to 2000000, not "soon"',
  ],
  [
    ["chat", "Alice", "55555", "55556", "--color", "sometimes"],
    '--color takes auto, always or never, not "sometimes"',
  ],
  [
    ["chat", "--bell", "Alice", "55555", "55556"],
    '--bell takes all or mention, not "Alice"',
  ],
];

for (const [args, error, hint] of USAGE_ERRORS) {
  Deno.test(`usage: greet ${args.join(" ").slice(0, 60)}`, async () => {
    const { code, out, err } = await run(args);
    assert.equal(code, 2);
    assert.equal(out, "");
    const [first, second = "", ...more] = err.trimEnd().split("\n");
    assert.equal(first, `greet: error: ${error}`);
    if (hint !== undefined) assert.equal(second, `greet: hint: ${hint}`);
    assert.deepEqual(more, []);
  });
}

Deno.test("an invalid GREET_NAMES harms no command that needs no names", async () => {
  const env = { GREET_NAMES: "nonsense" };
  await using server = Program.greet(["serve", "0"], { env });
  const [, port] = await server.out.until(/listening on (\d+)\n/);
  const { code, out, err } = await run(["greet", port, "Bob"], { env });
  assert.equal(err, "");
  assert.match(out, /Hello, Bob\./);
  assert.equal(code, 0);
  await using names = Program.greet(["names", "0"], { env });
  await names.out.until("listening");
});

Deno.test("a name that looks like an option can follow --", async () => {
  await using greeter = await serving();
  const { out } = await run(["greet", greeter.port, "--", "--bob"]);
  assert.match(out, /Hello, --bob\./);
});

Deno.test("help goes to stdout with exit 0; a missing command is a usage error", async () => {
  for (const args of [["--help"], ["-h"], ["help"], ["help", "--help"], ["help", "-h"]]) {
    const { code, out } = await run(args);
    assert.equal(code, 0);
    for (const command of ["serve", "greet", "chat"]) {
      assert.match(out, new RegExp(`^  greet ${command} `, "m"));
    }
  }
  for (
    const args of [
      ["serve", "--help"],
      ["help", "serve"],
      ["serve", "help"],
      ["serve", "-h", "nonsense", "more"],
    ]
  ) {
    const { code, out } = await run(args);
    assert.equal(code, 0);
    assert.match(out, /^greet serve \[PORT\]/);
    assert.match(out, /--host ADDRESS/);
  }
  const nothing = await run([]);
  assert.equal(nothing.code, 2);
  assert.match(nothing.err, /^Greetings over gRPC/);
});

Deno.test({
  name: "a reader who goes away ends the server quietly (needs a POSIX shell)",
  ignore: !hasCommand("sh") || !hasCommand("head"),
  async fn() {
    const [port] = freePorts();
    const command = greetCommand().map((part) => `'${part}'`).join(" ");
    await using shell = new Program(["sh", "-c", `${command} serve ${port} | head -n 1`], {
      cwd: ROOT,
    });
    await shell.out.until("Server started");
    // The first request cannot be logged.
    await run(["greet", port, "Bob"]);
    assert.equal(await shell.code(), 0);
    assert.equal(shell.err.text, "");
  },
});

Deno.test({
  name: "output that cannot be written is an error, exit 1 (needs /dev/full)",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const [a, b] = freePorts();
    for (const args of [["serve", "0"], ["greet", a, "Bob"], ["chat", "Alice", a, b], ["--help"]]) {
      const command = [...greetCommand(), ...args].map((part) => `'${part}'`).join(" ");
      await using shell = new Program(["sh", "-c", `${command} > /dev/full`]);
      assert.equal(await shell.code(), 1, args[0]);
      assert.match(shell.err.text, /^greet: error: cannot write output: No space left/m);
    }
  },
});
