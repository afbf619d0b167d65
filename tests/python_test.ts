/** Ours and theirs: the examples in Python against the program, all ways round. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { freePorts, Program, ROOT, run, serving } from "./program.ts";

/** A Python that has grpcio, if there is one: Debian's, where another one comes first. */
async function findPython(): Promise<string | undefined> {
  for (const python of ["python3", "/usr/bin/python3", "python"]) {
    const { success } = await new Deno.Command(python, {
      args: ["-c", "import grpc, grpc_tools.protoc"],
      stderr: "null",
    }).output().catch(() => ({ success: false }));
    if (success) return python;
  }
}

const python = await findPython();

/** Where the modules made from `proto/` are, while the tests run. */
let modules: string;

if (python !== undefined) {
  Deno.test.beforeAll(async () => {
    modules = await Deno.makeTempDir();
    const { success } = await new Deno.Command(python, {
      cwd: ROOT,
      args: [
        ...["-m", "grpc_tools.protoc", "-I", "proto", "-I", "tests"],
        ...[`--python_out=${modules}`, `--grpc_python_out=${modules}`],
        ...["greeting.proto", "chat.proto", "reflection_client.proto"],
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

function pythonTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name} (needs Python with grpcio)`, ignore: python === undefined, fn });
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
  await using client = pythonProgram(join(ROOT, "tests", "reflection_client.py"), greeter.port);
  assert.equal(await client.code(), 0, client.err.text);
  const services = "greet.v1.Greeter grpc.health.v1.Health " +
    "grpc.reflection.v1.ServerReflection grpc.reflection.v1alpha.ServerReflection";
  const answers = "{'greeting': 'Hello, Bob.'}\n{'status': 'SERVING'}\n5\n";
  assert.equal(
    client.out.text,
    ["v1", "v1alpha"].map((v) => `${v} ${services}\n${answers}`).join(""),
  );
});
