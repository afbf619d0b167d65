/** Ours and theirs: the examples in Python against the program, all ways round. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { openNames, serveGreeter, serveNames } from "../../mod.ts";
import { hasOpenssl } from "../support/certificates.ts";
import { Bot } from "../support/bot.ts";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { Program, ROOT, run, serving } from "../support/program.ts";
import { inTime } from "../support/waiting.ts";
import { findPython } from "../support/tools.ts";

const python = await findPython("grpc", "grpc_tools.protoc");

/** Where the modules made from `proto/` are, while the tests run. */
let modules: string;

if (python !== undefined) {
  Deno.test.beforeAll(async () => {
    modules = await Deno.makeTempDir();
    const { success } = await new Deno.Command(python, {
      cwd: ROOT,
      args: [
        ...["-m", "grpc_tools.protoc", "-I", "proto", "-I", "tests/examples"],
        // Its folder would be taken for a part of grpcio, which is called `grpc` as well.
        ...["-I", "proto/grpc/health/v1"],
        ...[`--python_out=${modules}`, `--grpc_python_out=${modules}`],
        ...["greeting", "chat", "names"].map((name) => `greet/v1/${name}.proto`),
        ...["reflection_client.proto", "health.proto"],
      ],
    }).output();
    assert(success, "protoc");
  });
  Deno.test.afterAll(() => Deno.remove(modules, { recursive: true }));
}

function theirs(script: string, ...args: string[]): Program {
  return pythonProgram(join(ROOT, "examples", "python", script), ...args);
}

function pythonProgram(path: string, ...args: string[]): Program {
  const env = { PYTHONPATH: modules, PYTHONDONTWRITEBYTECODE: "1" };
  return new Program([python!, path, ...args], { env });
}

function pythonTest(
  name: string,
  fn: () => Promise<void>,
  also = { what: "", isThere: true },
): void {
  const needs = `needs Python with grpcio${also.what === "" ? "" : ` and ${also.what}`}`;
  Deno.test({ name: `${name} (${needs})`, ignore: python === undefined || !also.isThere, fn });
}

pythonTest("our server, their client", async () => {
  await using greeter = await serving();
  await using client = theirs("client.py", greeter.port, "Bob", "Alice", "");
  assert.equal(await client.code(), 1);
  assert.match(client.out.text, /^\[Bob\] Message received from server: "Hello, Bob\."$/m);
  assert.match(client.out.text, /^\[Alice\] Message received from server: "Hello, Alice\."$/m);
  assert.equal(client.err.text, "[] INVALID_ARGUMENT: the name is empty\n");
});

pythonTest("their server, our clients", async () => {
  await using server = theirs("server.py", "0");
  const [, port] = await server.out.until(/listening on (\d+)\n/);
  const { code, out } = await run(["greet", port, "Bob", "Alice"]);
  assert.equal(code, 0);
  assert.match(out, /^\[Bob\] Message received from server: "Hello, Bob\."$/m);
  assert.match(out, /^\[Alice\] Message received from server: "Hello, Alice\."$/m);
});

for (const first of ["ours", "theirs"]) {
  pythonTest(`our peer and theirs, ${first} first`, async () => {
    const [a, b] = freePorts();
    const start = {
      ours: () => Program.greet(["chat", "Alice", a, b]),
      theirs: () => theirs("peer.py", "Bob", b, a),
    };
    const programs: Partial<Record<string, Program>> = {};
    await using stack = new AsyncDisposableStack();
    for (
      const who of first === "ours" ? ["ours", "theirs"] as const : ["theirs", "ours"] as const
    ) {
      const program = programs[who] = stack.use(start[who]());
      await program.out.until("Waiting for other peer to connect...\n");
    }
    const { ours: alice, theirs: bob } = programs;
    await Promise.all([
      alice!.out.until("Welcome, Alice. You are chatting with Bob.\n"),
      bob!.out.until("Welcome, Bob. You are chatting with Alice.\n"),
    ]);
    await alice!.write("Hello, Bob! 👋\n");
    await bob!.out.until(/\] Alice> Hello, Bob! 👋\n/);
    await bob!.write("Hello, Alice!\n");
    await alice!.out.until(/\] Bob> Hello, Alice!\n/);
    await bob!.end();
    await alice!.out.until("Bob has left.\n");
    assert.equal(await bob!.code(), 0);
  });
}

pythonTest("what waited goes out in order, also to a peer that takes one at a time", async () => {
  const [a, b] = freePorts();
  const lines = Array.from({ length: 20 }, (_, i) => `line ${i}`);
  await using alice = Program.greet(["chat", "Alice", a, b]);
  await alice.write(lines.join("\n") + "\n");
  await alice.end();
  await alice.out.until("] Alice> line 19 (waiting)\n");
  await using bob = theirs("peer.py", "Bob", b, a);
  await bob.out.until("] Alice> line 19\n");
  assert.equal(await alice.code(), 0);
  const heard = [...bob.out.text.matchAll(/\] Alice> (.*)\n/g)].map(([, body]) => body);
  assert.deepEqual(heard, lines);
  await bob.end();
  await bob.code();
});

pythonTest("a client that knows nothing but the port finds and calls everything", async () => {
  await using greeter = await serving();
  await using client = pythonProgram(
    join(ROOT, "tests", "examples", "reflection_client.py"),
    greeter.port,
  );
  assert.equal(await client.code(), 0, client.err.text);
  const services = "greet.v1.Greeter grpc.health.v1.Health " +
    "grpc.reflection.v1.ServerReflection grpc.reflection.v1alpha.ServerReflection";
  const answers = "{'greeting': 'Hello, Bob.'}\n{'status': 'SERVING'}\n" +
    "['', 'greet.v1.Greeter']\n5\n";
  assert.equal(
    client.out.text,
    ["v1", "v1alpha"].map((v) => `${v} ${services}\n${answers}`).join(""),
  );
});

pythonTest(
  "a client in Python lists what is healthy, and hears that the server stops",
  async () => {
    const server = await serveGreeter();
    try {
      const script = join(ROOT, "tests", "examples", "health_client.py");
      await using client = pythonProgram(script, `${server.port}`);
      await client.out.until("server: SERVING\n");
      await client.out.until(/^SERVING\n/m);
      await server.stop();
      assert.equal(await client.code(), 0, client.err.text);
      assert.equal(
        client.out.text,
        "server: SERVING\ngreet.v1.Greeter: SERVING\n" +
          "SERVING\nNOT_SERVING\nUNAVAILABLE: the server is stopping\n",
      );
    } finally {
      await server.stop();
    }
  },
);

pythonTest("our naming server, their client", async () => {
  await using server = await serveNames({ port: 0 });
  await using client = pythonProgram(
    join(ROOT, "tests", "examples", "names_client.py"),
    `${server.port}`,
  );
  assert.equal(await client.code(), 0, client.err.text);
  assert.deepEqual(client.out.text.split("\n"), [
    "state ['Bob']",
    "second claim: ALREADY_EXISTS",
    "bad name: INVALID_ARGUMENT",
    "nobody: NOT_FOUND",
    "HELD service 127.0.0.1:2",
    "HELD service [::1]:3",
    "found: 127.0.0.1:2 [::1]:3",
    "FREED service [::1]:3",
    "HELD service [::1]:4",
    "the earlier call: ABORTED",
    "FREED Bob 127.0.0.1:1",
    "list: service service",
    "FREED service 127.0.0.1:2",
    "FREED service [::1]:4",
    "",
  ]);
});

pythonTest("the lines of Python in docs/names.md do what they say", async () => {
  await using server = await serveNames({ port: 0 });
  await using names = openNames(`${server.port}`);
  await using _bob = await names.register({ name: "Bob", address: "127.0.0.1:1" });
  const text = await Deno.readTextFile(join(ROOT, "docs", "names.md"));
  const [, snippet] = /```python\n([^]*?)```/.exec(text)!;
  const script = join(modules, "snippet.py");
  await Deno.writeTextFile(script, snippet.replace(":55500", `:${server.port}`));
  await using client = pythonProgram("-u", script);
  await client.out.until(/state: true[^]*name: "Bob"/);
  assert.equal((await names.lookup("greeter"))[0].address, "127.0.0.1:50051");
});

pythonTest("their holder is killed, and its name is free within a second", async () => {
  await using server = await serveNames({ port: 0 });
  await using names = openNames(`${server.port}`);
  const script = join(ROOT, "tests", "examples", "names_client.py");
  await using holder = pythonProgram(script, "hold", `${server.port}`, "Bob", "127.0.0.1:1");
  await holder.out.until("held\n");
  const events = names.watch("Bob");
  const next = async (ms?: number) => (await inTime(events.next(), "an event", ms)).value;
  assert.equal((await next())?.type, "state");
  holder.kill("SIGKILL");
  assert.equal((await next(1_000))?.type, "freed");
  await assert.rejects(names.lookup("Bob"), { code: "NOT_FOUND" });
});

pythonTest(
  "a client that knows nothing but the port finds and calls the naming server",
  async () => {
    await using server = await serveNames({ port: 0 });
    await using names = openNames(`${server.port}`);
    await using _bob = await names.register({ name: "Bob", address: "127.0.0.1:1" });
    const script = join(ROOT, "tests", "examples", "reflection_client.py");
    const call = ["greet.v1.Names", "Lookup", "Bob"];
    await using client = pythonProgram(script, `${server.port}`, ...call);
    assert.equal(await client.code(), 0, client.err.text);
    for (const version of ["v1", "v1alpha"]) {
      assert.match(
        client.out.text,
        new RegExp(`^${version} greet.v1.Names grpc.health.v1.Health`, "m"),
      );
    }
    const found =
      /^\{'entries': \[\{'name': 'Bob', 'address': '127.0.0.1:1', 'sinceMs': '\d+'\}\]\}$/gm;
    assert.equal(client.out.text.match(found)?.length, 2, client.out.text);
  },
);

/** A key and a certificate in files, as `greet id` makes them, in a home directory of their own. */
async function identified(name: string) {
  const home = temporaryHome();
  const { out } = await run(["id", name, "--json"], home);
  const folder = join(home.env.GREET_HOME, "identities");
  const files = [...Deno.readDirSync(folder)].map((entry) => join(folder, entry.name));
  const file = (ending: string) => files.find((file) => file.endsWith(ending))!;
  return {
    ...home,
    name,
    fingerprint: JSON.parse(out).fingerprint as string,
    files: [file(".key"), file(".pem")] as const,
    cert: file(".pem"),
  };
}

type Identified = Awaited<ReturnType<typeof identified>>;

/** A chat over TLS of ours, and how to begin one of theirs that knows its certificate. */
async function encrypted() {
  const alice = await identified("Alice");
  const [a, b] = freePorts();
  const script = join(ROOT, "tests", "examples", "secure_peer.py");
  return {
    alice,
    ours: () => new Bot(["Alice", a, b, "--tls"], alice),
    /** Ours, once it listens, on a port of its own choice. */
    async oursFirst() {
      const bot = new Bot(["Alice", "0", b, "--tls"], alice);
      const [{ port }] = await bot.until("listening");
      return { bot, port: `${port}` };
    },
    theirs: ({ name, files }: Pick<Identified, "name" | "files">, port = a) =>
      pythonProgram(script, "chat", name, b, port, ...files, alice.cert),
    /** Their client, with its own certificate, sends a message with any sender's name. */
    async say(sender: string, { files }: Identified, body: string) {
      await using client = pythonProgram(script, "say", sender, a, ...files, alice.cert, body);
      await client.code();
      return client.out.text;
    },
    [Symbol.asyncDispose]: () => alice[Symbol.asyncDispose](),
  };
}

/** They have met, and what they say is delivered, both ways. */
async function talk(alice: Bot, bob: Program): Promise<void> {
  await bob.out.until("met Alice\n");
  await bob.out.until("asked by Alice\n");
  await alice.until("welcome");
  await alice.say("Hello, Bob! 👋");
  await bob.out.until("Alice> Hello, Bob! 👋\n");
  const [{ to, waitingFor }] = await alice.until("delivered");
  assert.deepEqual([to, waitingFor], ["Bob", []]);
  await bob.write("Hello, Alice!\n");
  const [{ from, body }] = await alice.until("message");
  assert.deepEqual([from, body], ["Bob", "Hello, Alice!"]);
  await bob.out.until("delivered: Hello, Alice!\n");
}

for (const first of ["ours", "theirs"]) {
  pythonTest(`our peer and theirs over TLS, ${first} first`, async () => {
    await using bobs = await identified("Bob");
    await using chat = await encrypted();
    await using stack = new AsyncDisposableStack();
    let alice: Bot;
    let bob: Program;
    if (first === "ours") {
      const { bot, port } = await chat.oursFirst();
      alice = stack.use(bot);
      bob = stack.use(chat.theirs(bobs, port));
    } else {
      bob = stack.use(chat.theirs(bobs));
      await bob.out.until("listening\n");
      alice = stack.use(chat.ours());
    }
    await talk(alice, bob);
    const { fingerprint } = bobs;
    assert.deepEqual(alice.all("met"), [{ type: "met", name: "Bob", fingerprint }]);
    assert.deepEqual(alice.all("welcome"), [{ type: "welcome", peers: ["Bob"] }]);
    await bob.end();
    await alice.until("left");
    assert.equal(await bob.code(), 0);
  });
}

pythonTest("a Python peer with another key is an impostor, and gets nothing", async () => {
  await using bobs = await identified("Bob");
  await using mallorys = await identified("Bob");
  await using chat = await encrypted();
  await using alice = chat.ours();
  {
    await using bob = chat.theirs(bobs);
    await talk(alice, bob);
    await bob.end();
    await bob.code();
  }
  await alice.until("left");
  await alice.say("for Bob's eyes only");
  await alice.until("queued", 2);
  {
    await using mallory = chat.theirs(mallorys);
    const [{ name, fingerprint, known }] = await alice.until("impostor");
    assert.deepEqual(
      [name, fingerprint, known],
      ["Bob", mallorys.fingerprint, [bobs.fingerprint]],
    );
    await mallory.write("open the door\n");
    await mallory.out.until("PERMISSION_DENIED: Alice knows Bob by another key\n");
    await mallory.end();
    assert.equal(await mallory.code(), 0);
    assert.doesNotMatch(mallory.out.text, /Alice>/);
  }
  await using bob = chat.theirs(bobs);
  await bob.out.until("Alice> for Bob's eyes only\n");
  await alice.until("delivered", 2);
  assert.deepEqual(alice.all("message").map(({ body }) => body), ["Hello, Alice!"]);
  assert.deepEqual(alice.all("met").map(({ fingerprint }) => fingerprint), [bobs.fingerprint]);
});

pythonTest("a client of theirs speaks for the owner of its key, and for nobody else", async () => {
  await using bobs = await identified("Bob");
  await using mallorys = await identified("Mallory");
  await using chat = await encrypted();
  await using alice = chat.ours();
  await using bob = chat.theirs(bobs);
  await talk(alice, bob);
  assert.deepEqual(
    [
      await chat.say("Bob", mallorys, "I am Bob"),
      await chat.say("Mallory", mallorys, "I am nobody"),
      await chat.say("Alice", mallorys, "I am you"),
      await chat.say("Alice", bobs, "I am you"),
      await chat.say("Bob", bobs, "it is me"),
    ],
    [
      ...["Mallory", "Mallory", "Mallory", "Alice"].map((name) =>
        `PERMISSION_DENIED: Alice is not chatting with ${name}\n`
      ),
      "delivered: it is me\n",
    ],
  );
  const said = await alice.until("message", 2);
  assert.deepEqual(said.map(({ body }) => body), ["Hello, Alice!", "it is me"]);
});

/** The lines of shell and of Python in the documentation. */
const [, shell = "", dialling = ""] =
  /## Peers in other languages\n[^]*?```sh\n([^]*?)```[^]*?```python\n([^]*?)```/.exec(
    await Deno.readTextFile(join(ROOT, "docs", "security.md")),
  ) ?? [];

pythonTest(
  "the lines in docs/security.md make a certificate, find Alice's and call her",
  async () => {
    await using chat = await encrypted();
    assert(shell.includes(":55555") && dialling.includes(":55555"));
    const { bot, port } = await chat.oursFirst();
    await using alice = bot;
    await using folder = temporaryHome();
    const cwd = folder.env.GREET_HOME;
    await using sh = new Program(["sh", "-c", shell.replace("55555", port)], { cwd });
    assert.equal(await sh.code(), 0, sh.err.text);
    assert.equal(`SHA256:${sh.out.text}`, `${chat.alice.fingerprint}=\n`);
    const script = join(cwd, "dial.py");
    const toFolder = `import os; os.chdir(${JSON.stringify(cwd)})\n`;
    await Deno.writeTextFile(script, toFolder + dialling.replace("55555", port));
    await using client = pythonProgram(script);
    assert.equal(await client.code(), 0, client.err.text);
    assert.equal(client.out.text, "Alice\n");
    const files = [join(cwd, "bob.key"), join(cwd, "bob.pem")] as const;
    await using bob = chat.theirs({ name: "Bob", files }, port);
    await talk(alice, bob);
    assert.deepEqual(alice.all("error"), []);
  },
  { what: "openssl", isThere: hasOpenssl },
);

pythonTest("our peer waits for theirs, which attaches and listens on no port", async () => {
  await using alice = await identified("Alice");
  await using bobs = await identified("Bob");
  await using ours = new Bot(["Alice", "0", "Bob", "--tls"], alice);
  const [{ port }] = await ours.until("listening");
  await using bob = theirs("attach.py", "Bob", `127.0.0.1:${port}`, ...bobs.files, alice.cert);
  await ours.until("welcome");
  await ours.say("Hello, Bob!", "Are you there?");
  await bob.out.until(/ Alice> Hello, Bob!\n.* Alice> Are you there\?\n/);
  await ours.until("delivered", 2);
  await bob.write("Hello, Alice!\n");
  const [{ from, body }] = await ours.until("message");
  assert.deepEqual([from, body], ["Bob", "Hello, Alice!"]);
  await bob.end();
  await ours.until("left");
}, { what: "openssl", isThere: hasOpenssl });
