/**
 * Builds and runs `greet` and its rivals: greeting servers and clients in other languages, written as
 * their users would write them (`rivals/`, `examples/python/`). A rival whose tools are missing is
 * skipped by name.
 *
 * @module
 */
import { basename, join } from "node:path";
import config from "../deno.json" with { type: "json" };
import { greet } from "../mod.ts";
import { freePorts } from "../tests/support/ports.ts";
import { greetCommand, Program, ROOT } from "../tests/support/program.ts";
import { exists, GO_PATH, hasCommand } from "../tests/support/tools.ts";
import type { Report } from "./measure.ts";

const SOURCES = join(ROOT, "bench", "rivals");

/** The folder of `greeting.proto`. */
const PROTO = join(ROOT, "proto", "greet", "v1");

/** A greeting server and client. */
export interface Contender {
  readonly name: string;
  /** The command that serves, without its port. */
  readonly server: readonly string[];
  /** The command that greets once and exits, without the port and the name. */
  readonly client: readonly string[];
  readonly env?: Record<string, string>;
}

/** `greet` itself, from source or, with `GREET_BIN`, compiled. */
export const OURS: Contender = {
  name: "greet",
  server: [...greetCommand(), "serve"],
  client: [...greetCommand(), "greet"],
};

/** The same server without a log. */
export const UNLOGGED: Contender = {
  ...OURS,
  server: fromSource(join(SOURCES, "unlogged.ts")),
};

/** Clients made of nothing but the layers that `greet` is built on, to show the share of each. */
export const BARE: readonly Contender[] = [
  { name: "grpc-js", server: [], client: fromSource(join(SOURCES, "grpc_js_client.ts")) },
  { name: "node:http2", server: [], client: fromSource(join(SOURCES, "http2_client.ts")) },
];

/** Two threads that greet with nothing but grpc-js. */
export const BARE_THREADS: Contender = {
  name: "grpc-js",
  server: [],
  client: fromSource(join(SOURCES, "grpc_js_threads.ts")),
};

/** The command that listens with nothing but grpc-js, without the port. */
export const GRPC_JS_SERVER: readonly string[] = fromSource(join(SOURCES, "grpc_js_server.ts"));

/** The command of a peer that meets others with nothing but grpc-js, without the ports. */
export const GRPC_JS_MESH: readonly string[] = fromSource(join(SOURCES, "grpc_js_mesh.ts"));

/**
 * The command that runs a file the way `greet` runs from source. A file must always run with the same
 * V8 flags, because different ones discard its code cache.
 */
export function fromSource(file: string): string[] {
  return asIn(config.tasks.greet.replace(/^.*?deno run | \S+$/g, ""), file);
}

/**
 * `greet` as its compiled binary runs it: from a bundle, and with the binary's flags. Its code cache
 * is its own, too.
 *
 * @param entry the bundle's file to run
 * @param cache a folder for the code cache
 */
export function asCompiled(entry: string, cache: string): Contender {
  const command = asIn(config.tasks.compile.replace(/^.*--output greet /, ""), entry);
  return {
    name: "compiled",
    server: [...command, "serve"],
    client: [...command, "greet"],
    env: { DENO_DIR: cache },
  };
}

/** The command that runs a file with some flags. */
function asIn(flags: string, file: string): string[] {
  // The import map is found only in the file's own folder, unless it is named.
  const config = ["--config", join(ROOT, "deno.json")];
  return [Deno.execPath(), "run", ...config, ...flags.split(" "), file];
}

/** The command that runs a program's text, with the same V8 flags. */
export function fromText(program: string): string[] {
  const [flags] = config.tasks.greet.match(/--v8-flags=\S+/)!;
  return [Deno.execPath(), "eval", flags, program];
}

/** The upper bound for a server in this runtime: one without gRPC. */
export const BARE_SERVER: Contender = {
  name: "node:http2",
  server: fromSource(join(SOURCES, "http2_server.ts")),
  client: [],
};

/** A running greeting server. */
export interface Serving extends AsyncDisposable {
  readonly name: string;
  readonly port: string;
  readonly pid: number;
}

/**
 * Starts a server, and waits until it answers a call.
 *
 * Its output goes straight to a file, because reading each line here would take time on a core that
 * servers need. So the port is chosen beforehand, not read from the output.
 *
 * @param log the target of its output, in shell syntax
 */
export async function serving({ name, server, env }: Contender, log: string): Promise<Serving> {
  const [port] = freePorts(1);
  const shell = ["bash", "-c", `exec "$@" > ${log}`, "bash"];
  const program = new Program([...shell, ...server, port], { env });
  await using stack = new AsyncDisposableStack();
  stack.use(program);
  await greet(port, "Bob", { wait: true, maxTime: 15 }).catch((error) => {
    throw new Error(`${name} does not answer: ${error.message}\n${program.err.text}`);
  });
  const running = stack.move();
  return {
    name,
    port,
    pid: program.pid,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

/** A temporary folder. */
export function temporaryFolder(): { path: string } & AsyncDisposable {
  const path = Deno.makeTempDirSync({ prefix: "greet-bench-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Runs a command in the repository. Returns its output, and throws if it fails. */
export async function output(
  [command, ...args]: readonly string[],
  env?: Record<string, string>,
): Promise<string> {
  const options = { args, cwd: ROOT, env } as const;
  const { success, stdout, stderr } = await new Deno.Command(command, options).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(`${command} failed: ${text(stderr).trim()}`);
  return text(stdout);
}

// ---------------------------------------------------------------- the rivals

/** How to build a rival. */
interface Recipe {
  readonly name: string;
  /** The Debian packages it needs, each with a command or file that shows that it is installed. */
  readonly packages: Readonly<Record<string, string>>;
  build(folder: string): Promise<Omit<Contender, "name">>;
}

const PYTHON = "/usr/bin/python3";
const PYTHON_PACKAGES = "/usr/lib/python3/dist-packages";

const RECIPES: readonly Recipe[] = [
  {
    // Its example logs each request, as greet does; the others log none.
    name: "Python",
    packages: {
      "python3-grpcio": `${PYTHON_PACKAGES}/grpc`,
      "python3-grpc-tools": `${PYTHON_PACKAGES}/grpc_tools`,
    },
    async build(folder) {
      const stubs = [`--python_out=${folder}`, `--grpc_python_out=${folder}`];
      await output([
        PYTHON,
        "-m",
        "grpc_tools.protoc",
        "-Iproto",
        ...stubs,
        "greet/v1/greeting.proto",
      ]);
      const example = (file: string) => [PYTHON, join(ROOT, "examples", "python", file)];
      return {
        server: example("server.py"),
        client: example("client.py"),
        env: { PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: "1" },
      };
    },
  },
  {
    // Uses the same gRPC library as greet.
    name: "Node",
    packages: { nodejs: "node", npm: "npm" },
    async build(folder) {
      const { "@grpc/grpc-js": grpc, "@grpc/proto-loader": loader } = config.imports;
      const versions = [grpc, loader].map((specifier) => specifier.replace(/^npm:/, ""));
      await output([
        ...["npm", "install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund"],
        ...versions,
      ]);
      // Node looks for packages next to the source.
      for (const file of [join(SOURCES, "greeter.mjs"), join(PROTO, "greeting.proto")]) {
        await Deno.copyFile(file, join(folder, basename(file)));
      }
      return commands(["node", join(folder, "greeter.mjs")]);
    },
  },
  {
    name: "Go",
    packages: {
      "golang-go": "go",
      "golang-google-grpc-dev": `${GO_PATH}/src/google.golang.org/grpc`,
      "golang-goprotobuf-dev": "protoc-gen-go",
      "protobuf-compiler": "protoc",
    },
    async build(folder) {
      const stubs = join(folder, "src", "greeting");
      await Deno.mkdir(stubs, { recursive: true });
      await output(["protoc", `-I${PROTO}`, `--go_out=plugins=grpc:${stubs}`, "greeting.proto"]);
      const binary = join(folder, "greeter");
      await output(["go", "build", "-o", binary, join(SOURCES, "greeter.go")], {
        GO111MODULE: "off",
        GOPATH: `${folder}:${GO_PATH}`,
      });
      return commands([binary]);
    },
  },
  {
    name: "C++",
    packages: {
      "g++": "g++",
      "libgrpc++-dev": "/usr/include/grpcpp/grpcpp.h",
      "protobuf-compiler": "protoc",
      "protobuf-compiler-grpc": "grpc_cpp_plugin",
    },
    async build(folder) {
      const plugin = "--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin";
      const stubs = [`--cpp_out=${folder}`, `--grpc_out=${folder}`, plugin];
      await output(["protoc", `-I${PROTO}`, ...stubs, "greeting.proto"]);
      const binary = join(folder, "greeter");
      const generated = ["greeting.pb.cc", "greeting.grpc.pb.cc"].map((file) => join(folder, file));
      await output([
        ...["g++", "-O2", `-I${folder}`, "-o", binary, join(SOURCES, "greeter.cc"), ...generated],
        // The headers of gRPC call functions of libraries that vary with how gRPC was built.
        ...["-Wl,--copy-dt-needed-entries", "-lgrpc++", "-lprotobuf"],
      ]);
      return commands([binary]);
    },
  },
];

/** The commands of a program that is both server and client. */
function commands(program: readonly string[]): Omit<Contender, "name"> {
  return { server: [...program, "serve"], client: [...program, "greet"] };
}

/** The Debian packages that are not installed. */
export function missing(packages: Readonly<Record<string, string>>): string[] {
  const isInstalled = (mark: string) => mark.startsWith("/") ? exists(mark) : hasCommand(mark);
  return Object.keys(packages).filter((name) => !isInstalled(packages[name]));
}

/** Builds all rivals whose tools are installed, and skips the others. */
export async function rivals(folder: string, report: Report): Promise<Contender[]> {
  const contenders = await Promise.all(RECIPES.map((recipe) => rival(recipe, folder, report)));
  return contenders.filter((contender) => contender !== undefined);
}

async function rival(
  { name, packages, build }: Recipe,
  folder: string,
  report: Report,
): Promise<Contender | undefined> {
  const absent = missing(packages);
  if (absent.length > 0) {
    report.skip(`${name}: missing ${absent.join(", ")}`);
    return undefined;
  }
  try {
    return { name, ...await build(Deno.makeTempDirSync({ dir: folder })) };
  } catch (error) {
    // A competitor that cannot be built with the tools of this machine says nothing about greet.
    report.skip(`${name}: ${(error as Error).message}`);
    return undefined;
  }
}
