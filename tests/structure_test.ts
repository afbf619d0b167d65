/** Checks the rooms of docs/architecture.md: which room may import which, and what is loaded when. */
import assert from "node:assert/strict";
import { ROOT } from "./support/program.ts";

/** The public faces in the root. Nothing in `src/` imports them. */
const FACES = ["cli.ts", "greeter.ts", "mod.ts", "peer.ts"];

/** The rooms of `src/`, from the bottom up; rooms on the same floor do not import each other. */
const FLOORS: readonly (readonly string[])[] = [
  ["base"],
  ["http2"],
  ["net"],
  ["identity", "terminal"],
  ["rpc"],
  ["naming"],
  ["greeter", "peer"],
  ["chat"],
  ["cli"],
];

/** The only files outside `rpc/` that import packages, text or JSON. Only `rpc/` may import grpc-js. */
const FOREIGN: Record<string, readonly string[]> = {
  "cli.ts": ["deno.json"],
  "src/identity/identity.ts": ["@peculiar/x509", "reflect-metadata"],
  "src/naming/lan/packets.ts": ["dns-packet"],
  "src/terminal/cells.ts": ["string-width"],
};

interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly specifier: string;
    readonly isDynamic?: boolean;
    readonly code?: { readonly specifier: string };
    readonly type?: { readonly specifier: string };
  }[];
}

const root = new URL("..", import.meta.url).href;

async function modulesOf(face: string): Promise<readonly Module[]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", face],
    cwd: ROOT,
  }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).modules;
}

/** The imports of each of our files, in order: our own files by path, others by specifier. */
const imports = new Map<string, readonly string[]>();
/** The imports that are loaded together with each file: neither types nor dynamic imports. */
const loads = new Map<string, readonly string[]>();
for (const face of FACES) {
  for (const { specifier, dependencies = [] } of await modulesOf(face)) {
    if (!specifier.startsWith(root) || !specifier.endsWith(".ts")) continue;
    const nameOf = (dependency: typeof dependencies[number]) => {
      const target = dependency.code?.specifier ?? dependency.type?.specifier ?? "";
      return target.startsWith(root) ? target.slice(root.length) : dependency.specifier;
    };
    const file = specifier.slice(root.length);
    const loaded = dependencies.filter(({ code, isDynamic }) => code && !isDynamic);
    imports.set(file, dependencies.map(nameOf));
    loads.set(file, loaded.map(nameOf));
  }
}

/** The room of a file in `src/`, to which its sub-rooms belong; undefined for a face. */
function roomOf(file: string): string | undefined {
  return /^src\/(\w+)\/(?:\w+\/)?\w+\.ts$/.exec(file)?.[1];
}

function floorOf(room: string): number {
  return FLOORS.findIndex((rooms) => rooms.includes(room));
}

function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(`${ROOT}/${folder}`)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(`${folder}/${name}`) : `${folder}/${name}`
  );
}

Deno.test("every file is a face or belongs to a room, and every file is used", () => {
  const found = [...FACES, ...FLOORS.flat().flatMap((room) => filesIn(`src/${room}`))];
  assert.deepEqual([...imports.keys()].sort(), found.sort());
});

Deno.test("rooms import only rooms below them, and nothing in src/ imports a face", () => {
  for (const [file, imported] of imports) {
    const room = roomOf(file);
    if (room === undefined) continue;
    for (const target of imported.filter((name) => name.endsWith(".ts"))) {
      const other = roomOf(target);
      assert(other !== undefined, `${file} imports ${target}`);
      assert(other === room || floorOf(other) < floorOf(room), `${file} imports ${target}`);
    }
  }
});

Deno.test("there are no circular imports", () => {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]) => {
    assert(!path.includes(file), [...path, file].join(" → "));
    if (done.has(file)) return;
    for (const target of imports.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of imports.keys()) visit(file, []);
});

Deno.test("only rpc/ imports grpc-js, and every other package is imported in one place", () => {
  for (const [file, imported] of imports) {
    if (roomOf(file) === "rpc" && !(file in FOREIGN)) continue;
    const foreign = imported.filter((name) => !name.endsWith(".ts") && !name.startsWith("node:"));
    assert.deepEqual(foreign.toSorted(), FOREIGN[file] ?? [], file);
  }
});

Deno.test("the workaround is loaded before anything that takes functions from node:http2", () => {
  const workaround = "src/rpc/deno_http2_workaround.ts";
  for (const [file, loaded] of loads) {
    if (!loaded.some((name) => name.startsWith("@grpc/"))) continue;
    const order = loadOrder(file).filter((name) =>
      name === workaround || name.startsWith("@grpc/")
    );
    assert.equal(order[0], workaround, file);
  }
  for (const [file, loaded] of loads) {
    assert.equal(loaded.includes("node:http2"), file === workaround, file);
  }
});

/** The modules that are loaded with a file, in order, itself last. */
function loadOrder(file: string): string[] {
  const order = new Set<string>();
  for (const name of loads.get(file) ?? []) for (const one of loadOrder(name)) order.add(one);
  return [...order.add(file)];
}

/** Everything that is loaded with a file, modules of packages included. */
function loadedWith(file: string, found = new Set<string>()): Set<string> {
  for (const name of loads.get(file) ?? []) {
    if (found.has(name)) continue;
    found.add(name);
    loadedWith(name, found);
  }
  return found;
}

const COMMANDS = ["chat", "completions", "forget", "greet", "history", "id", "names", "serve"]
  .map((name) => `src/cli/${name}.ts`);

Deno.test("help and usage errors load neither gRPC nor other packages, nor node:net", () => {
  for (const file of ["cli.ts", ...COMMANDS]) {
    const foreign = [...loadedWith(file)].filter((name) => !/\.ts$|^node:/.test(name));
    assert.deepEqual(foreign.filter((name) => name !== "deno.json"), [], file);
    assert(!loadedWith(file).has("node:net"), file);
  }
  assert(loadedWith("greeter.ts").has("@grpc/grpc-js"));
  assert(loadedWith("greeter.ts").has("node:net"));
});

Deno.test("a greeting loads neither the server nor naming services", () => {
  const loaded = loadedWith(
    "src/greeter/client.ts",
    loadedWith("src/greeter/client_threads.ts"),
  );
  assert(loaded.has("@grpc/grpc-js"));
  const unneeded = ["src/rpc/server.ts", "src/naming/open.ts", "@grpc/proto-loader"];
  for (const name of [...unneeded, "@grpc/reflection"]) assert(!loaded.has(name), name);
});

Deno.test("an unencrypted chat does not load the certificate packages", () => {
  const loaded = loadedWith("src/chat/session.ts");
  for (const name of ["@peculiar/x509", "reflect-metadata"]) assert(!loaded.has(name));
});

Deno.test("the table of confusable characters is loaded only for new names", () => {
  for (const face of FACES) assert(!loadedWith(face).has("src/identity/confusables.ts"));
});

Deno.test("multicast DNS is loaded only for the local network", () => {
  for (const face of FACES) assert(!loadedWith(face).has("src/naming/lan/packets.ts"));
  assert(!loadedWith("src/naming/open.ts").has("dns-packet"));
  assert(loadedWith("src/naming/lan/node.ts").has("dns-packet"));
});

Deno.test("telemetry is loaded only when it is on", () => {
  for (const face of FACES) assert(!loadedWith(face).has("src/rpc/call_spans.ts"));
  assert(imports.get("src/rpc/service_definition.ts")?.includes("src/rpc/call_spans.ts"));
});

Deno.test("no file is imported as text or bytes, because JSR refuses packages that do", async () => {
  for (const file of imports.keys()) {
    const source = await Deno.readTextFile(`${ROOT}/${file}`);
    assert.doesNotMatch(source, /with\s*\{\s*type:\s*"(?!json")/, file);
  }
});

Deno.test("only cli.ts exits", async () => {
  for (const file of imports.keys()) {
    if (file === "cli.ts") continue;
    const source = await Deno.readTextFile(`${ROOT}/${file}`);
    assert.doesNotMatch(source, /(Deno|process)\.exit\(/, file);
  }
});

Deno.test("nothing uses Promise.race, which leaves something behind on promises that outlive it", async () => {
  for (const file of imports.keys()) {
    const source = await Deno.readTextFile(`${ROOT}/${file}`);
    assert.doesNotMatch(source, /Promise\.race\(/, file);
  }
});
