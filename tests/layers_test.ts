/** Who may import whom: the layers of docs/architecture.md. */
import assert from "node:assert/strict";
import { ROOT } from "./program.ts";

const LAYERS: readonly (readonly string[])[] = [
  ["color.ts", "errors.ts", "feed.ts", "http2_guard.ts", "keys.ts", "output.ts", "time.ts"],
  ["arguments.ts", "home.ts", "journal_file.ts", "target.ts", "text.ts", "wire.ts"],
  [
    "cells.ts",
    "journal.ts",
    "listener.ts",
    "names.ts",
    "reasons.ts",
    "registry.ts",
    "rpc.ts",
    "secure.ts",
  ],
  ["canvas.ts", "editor.ts", "etcd_keys.ts", "inbox.ts", "rpc_client.ts", "rpc_server.ts"],
  [
    "etcd_client.ts",
    "greeter.ts",
    "layout.ts",
    "link.ts",
    "names_client.ts",
    "names_server.ts",
    "tls_options.ts",
  ],
  ["etcd.ts", "outbox.ts", "roster.ts"],
  ["naming.ts"],
  ["directory.ts", "finder.ts", "threads.ts"],
  ["peer.ts", "screen.ts"],
  ["json.ts", "mod.ts", "terminal.ts", "transcript.ts"],
  ["commands.ts"],
  ["chat.ts"],
  ["cli.ts"],
];

interface Module {
  specifier: string;
  dependencies?: {
    specifier: string;
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
for (const { specifier, dependencies = [] } of [...info.modules, ...library]) {
  if (!specifier.startsWith(root) || !specifier.endsWith(".ts")) continue;
  const imported = dependencies.map((dependency) => {
    const target = dependency.code?.specifier ?? dependency.type?.specifier ?? "";
    return target.startsWith(root) ? target.slice(root.length) : dependency.specifier;
  });
  imports.set(specifier.slice(root.length), imported);
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

Deno.test("help needs no gRPC: what cli.ts imports at once is light", async () => {
  const source = await Deno.readTextFile(new URL("../cli.ts", import.meta.url));
  const atOnce = [...source.matchAll(/^import .* from "\.\/(\w+\.ts)";$/gm)].map(([, name]) =>
    name
  );
  assert(atOnce.length > 0);
  assert.deepEqual(atOnce.filter((name) => layerOf(name) >= layerOf("rpc.ts")), []);
});

Deno.test("only cli.ts exits", async () => {
  for (const file of LAYERS.flat().filter((name) => name !== "cli.ts")) {
    const source = await Deno.readTextFile(new URL(`../${file}`, import.meta.url));
    assert.doesNotMatch(source, /(Deno|process)\.exit\(/, file);
  }
});
