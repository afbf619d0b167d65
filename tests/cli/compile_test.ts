/**
 * What `deno compile` embeds, which permissions the binary has, and whether what is embedded runs by
 * itself. Its base runtime is not part of this: not every machine can download one.
 */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { compile } from "../../release/compile.ts";
import { lockedPackages } from "../../release/licenses.ts";
import { Authority, hasOpenssl } from "../support/certificates.ts";
import { readExecutable } from "../support/executable.ts";
import { Program, ROOT } from "../support/program.ts";
import { bundle, ENTRIES } from "../../tools/bundle.ts";
import { isLinux, works } from "../support/tools.ts";
import { flagsOf, STAND_IN, unpack } from "../support/unpack.ts";
import { inTime } from "../support/waiting.ts";

/** The arguments of `deno compile`, and of `deno run` for the same program. */
const [, COMPILE] = config.tasks.compile.split(" tools/compile.ts ");
const [, RUN] = config.tasks.greet.split(" deno run ");

/** The permission flags of a command. */
function permissions(args: string): string[] {
  return args.split(" ").filter((word) => /^--(allow|deny|ignore|no-prompt)/.test(word)).sort();
}

Deno.test("the binary has the permissions that the tests run with, and never all", () => {
  assert.deepEqual(permissions(COMPILE), permissions(RUN));
  for (const args of [COMPILE, RUN]) {
    assert.doesNotMatch(
      `${args} `,
      / (-A|--allow-all|--allow-(run|ffi|import|sys(?!=networkInterfaces ))\S*) /,
    );
  }
});

Deno.test("the README installs the program from JSR with the same permissions and flags", async () => {
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  const [install = ""] = /deno install [^]*? jsr:\S+\n/.exec(readme) ?? [];
  const command = install.replaceAll(/\\\n|"/g, "").replaceAll(/\s+/g, " ").trimEnd();
  assert.deepEqual(permissions(command), permissions(config.tasks.greet));
  assert.match(command, new RegExp(/ --v8-flags=\S+/.exec(config.tasks.greet)![0]));
  assert(command.endsWith(` jsr:${config.name}/cli`), command);
});

/** Uses a folder that is removed afterwards. */
async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "greet compiled " });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Deno downloads esbuild from npm, to bundle for the first time. */
const bundles = await works(Deno.execPath(), "bundle", "--quiet", join(ROOT, "release/compile.ts"));

/** The files in a folder and their contents. */
async function contentsOf(folder: string): Promise<Map<string, string>> {
  const contents = new Map<string, string>();
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile) contents.set(name, await Deno.readTextFile(join(folder, name)));
  }
  return new Map([...contents].sort());
}

Deno.test({
  name: "bundling twice makes the same files, without a path of this machine (needs esbuild)",
  ignore: !bundles,
  fn: () =>
    inFolder(async (folder) => {
      const [here, there] = [join(folder, "here"), join(folder, "there", "too")];
      await bundle(here);
      await bundle(there);
      const contents = await contentsOf(here);
      const others = await contentsOf(there);
      assert.deepEqual([...contents.keys()], [...others.keys()]);
      const home = dirname(Deno.execPath());
      for (const [file, code] of contents) {
        assert(code === others.get(file), `${file} differs`);
        for (const path of [ROOT, folder, home]) assert(!code.includes(path), `${path} in ${file}`);
      }
    }),
});

Deno.test("every file that starts a Worker with itself is an entry of the bundle", async () => {
  const starting: string[] = [];
  for await (const path of sourceFiles("src")) {
    if (/new Worker\(/.test(await Deno.readTextFile(join(ROOT, path)))) starting.push(path);
  }
  assert.deepEqual(["cli.ts", ...starting.sort()], [...ENTRIES]);
});

/** The paths of all source files in a folder of the repository. */
async function* sourceFiles(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(join(ROOT, folder))) {
    if (isDirectory) yield* sourceFiles(`${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}

Deno.test({
  name: "a release has the license of every package that is bundled (needs esbuild)",
  ignore: !bundles,
  fn: () =>
    inFolder(async (folder) => {
      // With its names, a bundle says which file each part is from.
      const options = ["--quiet", "--code-splitting", "--outdir", folder];
      assert(
        await works(
          Deno.execPath(),
          "bundle",
          ...options,
          ...ENTRIES.map((entry) => join(ROOT, entry)),
        ),
      );
      const bundled = new Set<string>();
      for (const code of (await contentsOf(folder)).values()) {
        const files = code.matchAll(/^ *\/\/ \S*\/npm\/[^/]+\/((?:@[^/]+\/)?[^/]+)\/([^/]+)\//gm);
        for (const [, name, version] of files) bundled.add(`${name}@${version}`);
      }
      assert(bundled.size > 10, `${[...bundled]}`);
      // Behind an underscore, an id names the peers that a package was resolved with.
      const licensed = new Set(lockedPackages().map((id) => id.replace(/(?<=@[^@]+)_.*/, "")));
      assert.deepEqual([...bundled].filter((id) => !licensed.has(id)), []);
    }),
});

Deno.test({
  name: "the binary embeds a bundle of the program, and nothing else (needs Linux and esbuild)",
  ignore: !isLinux || !bundles,
  fn: () =>
    inFolder(async (folder) => {
      const output = join(folder, "greet");
      await compile(output, { standIn: STAND_IN });
      const { metadata, files } = await readExecutable(output);
      assert.equal(metadata.entrypoint_key, "cli.js");
      for (const path of files.keys()) assert.match(path, /^(src\/greeter\/)?[\w.-]+\.js$/);
      const embedded = flagsOf(metadata).filter((flag) => !/^--(v8-flags|allow-import)/.test(flag));
      assert.deepEqual(embedded.toSorted(), permissions(COMPILE));
      assert(metadata.v8_flags.includes("--no-memory-reducer"));
    }),
});

Deno.test({
  name:
    "what the binary embeds is all it needs to serve, greet and name peers (needs Linux and esbuild)",
  ignore: !isLinux || !bundles,
  fn: () =>
    inFolder(async (folder) => {
      const executable = join(folder, "greet");
      await compile(executable, { standIn: STAND_IN });
      const greet = await unpack(executable, join(folder, "unpacked"));
      await using server = new Program([greet, "serve", "0", "--threads", "2"], { cwd: folder });
      const [, port] = await server.out.until(/listening on (\d+)/);
      await using client = new Program([greet, "greet", port, "Bob", "Alice"], { cwd: folder });
      assert.equal(await client.code(), 0, client.err.text);
      assert.match(client.out.text, /\[Alice\] Message received from server: "Hello, Alice\."/);
      // In a Worker, the bundle does not start the program again.
      assert.equal(client.out.text.match(/Client 1 started/g)?.length, 1, client.out.text);
      assert.equal(server.out.text.match(/Server started/g)?.length, 1, server.out.text);
      await using id = new Program([greet, "id", "Paul"], { cwd: folder });
      assert.equal(await id.code(), 0, id.err.text);
    }),
});

Deno.test({
  name:
    "compiling without a network says in one sentence what it needs (needs Linux, esbuild and unshare)",
  ignore: !isLinux || !bundles || !await works("unshare", "--net", "true"),
  async fn() {
    const folder = await Deno.makeTempDir();
    // The packages and esbuild are there, and the base runtime is not.
    const info = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
    const { npmCache } = JSON.parse(new TextDecoder().decode(info.stdout));
    await Deno.symlink(npmCache, join(folder, "npm"));
    await Deno.mkdir(join(folder, "dl"));
    for await (const { name } of Deno.readDir(join(dirname(npmCache), "dl"))) {
      if (!name.startsWith("esbuild")) continue;
      await Deno.symlink(join(dirname(npmCache), "dl", name), join(folder, "dl", name));
    }
    const [, ...task] = config.tasks.compile.split(" ");
    const args = task.map((arg) => arg === "greet" ? join(folder, "greet") : arg);
    await using compiler = new Program(["unshare", "--net", Deno.execPath(), ...args], {
      env: { DENO_DIR: folder, NO_COLOR: "1" },
    });
    assert.equal(await compiler.code(), 1);
    assert.match(
      compiler.err.text,
      /\ndeno task compile has to download .* dl\.deno\.land once, .* deno task greet\n$/,
    );
    assert.doesNotMatch(compiler.err.text, /error|Stack backtrace/);
    await Deno.remove(folder, { recursive: true });
  },
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
  Deno.test({
    name: `compiling that ${signal} ends leaves nothing behind (needs Linux and esbuild)`,
    ignore: !isLinux || !bundles,
    fn: () =>
      inFolder(async (folder) => {
        const [, ...task] = config.tasks.compile.split(" ");
        const env = { TMPDIR: folder };
        using changes = Deno.watchFs(folder);
        await using compiler = new Program([Deno.execPath(), ...task], { cwd: ROOT, env });
        await inTime(changes[Symbol.asyncIterator]().next(), "the bundle's folder");
        compiler.kill(signal);
        assert.equal(await compiler.code(), code, compiler.err.text);
        assert.deepEqual([...Deno.readDirSync(folder)], []);
        assert.doesNotMatch(compiler.err.text, /error/i);
      }),
  });
}

/** The permissions that a command still has when it serves. */
async function stillAllowed(...args: string[]): Promise<string> {
  const probe = `${ROOT}tests/support/permissions_probe.ts`;
  const flags = config.tasks.greet.replace(/^.*?deno run /, "").split(" ").slice(0, -1);
  await using program = new Program([Deno.execPath(), "run", ...flags, probe, ...args]);
  const [, allowed] = await program.out.until(/; may (.*)\n/);
  assert.equal(await program.code(), 0);
  return allowed;
}

Deno.test({
  name: "a server gives up the disk, except to read renewed certificates (needs openssl)",
  ignore: !hasOpenssl,
  async fn() {
    await using authority = await Authority.create();
    const { cert, key } = await authority.issue("server");
    for (const command of ["serve", "names"]) {
      assert.equal(await stillAllowed(command, "0"), "nothing");
      assert.equal(await stillAllowed(command, "0", "--cert", cert, "--key", key), "read");
    }
  },
});
