/**
 * What `deno compile` embeds, which permissions the binary has, and whether what is embedded runs by
 * itself. Its base runtime is not part of this: not every machine can download one.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { compile } from "../../release/compile.ts";
import { lockedPackages } from "../../release/licenses.ts";
import { Authority, hasOpenssl } from "../support/certificates.ts";
import { readExecutable } from "../support/executable.ts";
import { Program, ROOT } from "../support/program.ts";
import { isLinux, works } from "../support/tools.ts";
import { flagsOf, STAND_IN, unpack } from "../support/unpack.ts";

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
      args,
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

Deno.test({
  name: "the binary embeds everything that the program loads, and no tests (needs Linux)",
  ignore: !isLinux,
  fn: () =>
    inFolder(async (folder) => {
      const output = join(folder, "greet");
      await compile(output, { standIn: STAND_IN });
      const { metadata, packages, files } = await readExecutable(output);
      const top = new Set([...files.keys()].map((path) => path.split("/")[0]));
      assert.deepEqual([...top].sort(), [
        ...[".deno_compile_node_modules", "cli.ts", "deno.json", "src"],
      ]);
      for await (const { name } of Deno.readDir(join(ROOT, "src"))) {
        assert([...files.keys()].some((path) => path.startsWith(`src/${name}/`)), name);
      }
      assert.deepEqual([...new Set(packages.map(({ id }) => id))].sort(), lockedPackages());
      const embedded = flagsOf(metadata).filter((flag) => !/^--(v8-flags|allow-import)/.test(flag));
      assert.deepEqual(embedded.toSorted(), permissions(COMPILE));
      assert(metadata.v8_flags.includes("--no-memory-reducer"));
    }),
});

Deno.test({
  name: "what the binary embeds is all it needs to serve, greet and name peers (needs Linux)",
  ignore: !isLinux,
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
      await using id = new Program([greet, "id", "Paul"], { cwd: folder });
      assert.equal(await id.code(), 0, id.err.text);
    }),
});

Deno.test({
  name: "compiling without a network says in one sentence what it needs (needs Linux and unshare)",
  ignore: !isLinux || !await works("unshare", "--net", "true"),
  async fn() {
    const folder = await Deno.makeTempDir();
    // The packages are there, and the base runtime is not.
    const info = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
    const { npmCache } = JSON.parse(new TextDecoder().decode(info.stdout));
    await Deno.symlink(npmCache, join(folder, "npm"));
    const [, ...task] = config.tasks.compile.split(" ");
    // Types are checked elsewhere, and without a cache that takes long.
    const args = task.flatMap((arg) =>
      arg === "greet" ? join(folder, "greet") : arg === "cli.ts" ? ["--no-check", arg] : arg
    );
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
