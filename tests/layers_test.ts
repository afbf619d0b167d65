/** Who may import whom: the layers of docs/architecture.md. */
import assert from "node:assert/strict";
import { ROOT } from "./program.ts";

const LAYERS: readonly (readonly string[])[] = [
  [
    "answer_timeout.ts",
    "color.ts",
    "errors.ts",
    "feed.ts",
    "frames.ts",
    "gather.ts",
    "hpack_gauge.ts",
    "http2_guard.ts",
    "keys.ts",
    "open_streams.ts",
    "output.ts",
    "permissions.ts",
    "private_files.ts",
    "protocol_probe.ts",
    "time.ts",
  ],
  [
    "acceptor.ts",
    "arguments.ts",
    "certificates.ts",
    "delivery_pace.ts",
    "connection.ts",
    "header_gauge.ts",
    "home.ts",
    "journal_file.ts",
    "rpc_reader.ts",
    "target.ts",
    "text.ts",
    "wire.ts",
  ],
  [
    "cells.ts",
    "header_limits.ts",
    "identity.ts",
    "io.ts",
    "journal.ts",
    "known_peers.ts",
    "listener.ts",
    "lookalikes.ts",
    "names.ts",
    "naming_place.ts",
    "reasons.ts",
    "registry.ts",
    "rows.ts",
    "rpc.ts",
    "rpc_admission.ts",
    "rpc_arrivals.ts",
    "rpc_credentials.ts",
    "secure.ts",
  ],
  [
    "canvas.ts",
    "editor.ts",
    "etcd_keys.ts",
    "inbox.ts",
    "rpc_client.ts",
    "rpc_server.ts",
    "tls_options.ts",
    "trust.ts",
    "newcomers.ts",
  ],
  [
    "etcd_client.ts",
    "greeter.ts",
    "greeter_client.ts",
    "layout.ts",
    "link.ts",
    "names_client.ts",
    "names_server.ts",
  ],
  ["etcd.ts", "outbox.ts", "reception.ts", "request_log.ts", "roster.ts"],
  ["naming.ts", "server_threads.ts"],
  ["client_threads.ts", "directory.ts", "finder.ts", "naming_options.ts"],
  ["peer.ts", "screen.ts"],
  ["json.ts", "mod.ts", "terminal.ts", "transcript.ts"],
  ["commands.ts"],
  ["chat.ts"],
  ["chat_command.ts", "greet_command.ts", "id_command.ts", "names_command.ts", "serve_command.ts"],
  ["cli.ts"],
];

interface Module {
  specifier: string;
  dependencies?: {
    specifier: string;
    isDynamic?: boolean;
    code?: { specifier: string };
    type?: { specifier: string };
  }[];
}

const { stdout } = await new Deno.Command(Deno.execPath(), {
  args: ["info", "--json", "cli.ts"],
  cwd: ROOT,
}).output();
const info: { modules: Module[] } = JSON.parse(new TextDecoder().decode(stdout));
const { modules: library }: { modules: Module[] } = JSON.parse(
  new TextDecoder().decode(
    (await new Deno.Command(Deno.execPath(), { args: ["info", "--json", "mod.ts"], cwd: ROOT })
      .output()).stdout,
  ),
);

const root = new URL("..", import.meta.url).href;

/** What each file of ours imports, in order: files of ours by name, others by specifier. */
const imports = new Map<string, string[]>();
/** What is loaded together with it. */
const loads = new Map<string, string[]>();
for (const { specifier, dependencies = [] } of [...info.modules, ...library]) {
  if (!specifier.startsWith(root) || !specifier.endsWith(".ts")) continue;
  const nameOf = (dependency: typeof dependencies[number]) => {
    const target = dependency.code?.specifier ?? dependency.type?.specifier ?? "";
    return target.startsWith(root) ? target.slice(root.length) : dependency.specifier;
  };
  const file = specifier.slice(root.length);
  imports.set(file, dependencies.map(nameOf));
  const isLoaded = ({ code, isDynamic }: typeof dependencies[number]) => code && !isDynamic;
  loads.set(file, dependencies.filter(isLoaded).map(nameOf));
}

function layerOf(file: string): number {
  return LAYERS.findIndex((files) => files.includes(file));
}

Deno.test("every file has its layer, and every layer its files", () => {
  assert.deepEqual([...imports.keys()].sort(), LAYERS.flat().sort());
});

Deno.test("imports point downwards only", () => {
  for (const [file, imported] of imports) {
    for (const target of imported.filter((name) => name.endsWith(".ts"))) {
      assert(layerOf(target) < layerOf(file), `${file} imports ${target}`);
    }
  }
});

Deno.test("only rpc*.ts know gRPC, only wire.ts proto/, only cells.ts how wide characters are", () => {
  const protos = ["chat", "etcd", "greeting", "health", "names"].map((name) =>
    `proto/${name}.proto`
  );
  const allowed = new Map([
    ["cli.ts", ["deno.json"]],
    ["cells.ts", ["string-width"]],
    ["identity.ts", ["reflect-metadata", "@peculiar/x509"]],
    ["lookalikes.ts", ["unhomoglyph"]],
    ["wire.ts", protos],
  ]);
  for (const [file, imported] of imports) {
    const foreign = imported.filter((name) => !name.endsWith(".ts") && !name.startsWith("node:"));
    if (file.startsWith("rpc")) assert(foreign.length > 0);
    else assert.deepEqual(foreign, allowed.get(file) ?? [], file);
  }
});

Deno.test("the guard is loaded before whatever could take functions from node:http2", () => {
  assert.equal(imports.get("rpc.ts")?.[0], "http2_guard.ts");
  for (const half of ["rpc_client.ts", "rpc_server.ts"]) {
    assert.equal(imports.get(half)?.[0], "rpc.ts");
  }
  for (const [file, imported] of imports) {
    assert.equal(imported.includes("node:http2"), file === "http2_guard.ts", file);
  }
});

/** Everything that is loaded with a file, others' modules included. */
function loadedWith(file: string, found = new Set<string>()): Set<string> {
  for (const name of loads.get(file) ?? []) {
    if (found.has(name)) continue;
    found.add(name);
    loadedWith(name, found);
  }
  return found;
}

Deno.test("help, and what is wrong with arguments, do not wait for gRPC or other libraries", () => {
  const commands = LAYERS.flat().filter((file) => file.endsWith("_command.ts"));
  assert.equal(commands.length, 5);
  for (const file of ["cli.ts", ...commands]) {
    const foreign = [...loadedWith(file)].filter((name) => !/\.ts$|^node:/.test(name));
    assert.deepEqual(foreign.filter((name) => name !== "deno.json"), [], file);
  }
  assert(loadedWith("greeter.ts").has("@grpc/grpc-js"));
});

Deno.test("who greets does not wait for what it takes to serve, or to look up names", () => {
  const loaded = loadedWith("greeter_client.ts", loadedWith("client_threads.ts"));
  assert(loaded.has("@grpc/grpc-js"));
  for (const name of ["rpc_server.ts", "naming.ts", "@grpc/proto-loader", "@grpc/reflection"]) {
    assert(!loaded.has(name), name);
  }
});

Deno.test("a chat that is not encrypted does not load what makes certificates", () => {
  for (const name of ["@peculiar/x509", "unhomoglyph"]) assert(!loadedWith("chat.ts").has(name));
});

Deno.test("only cli.ts exits", async () => {
  for (const file of LAYERS.flat().filter((name) => name !== "cli.ts")) {
    const source = await Deno.readTextFile(new URL(`../${file}`, import.meta.url));
    assert.doesNotMatch(source, /(Deno|process)\.exit\(/, file);
  }
});
