/**
 * What `deno compile` embeds, and which permissions the binary has.
 *
 * A real binary needs a base runtime that not every machine can download. With a stand-in for it,
 * the compilation is complete but the result does not run. To test a real binary, run the tests
 * with `GREET_BIN`.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import config from "../../deno.json" with { type: "json" };
import { Authority, hasOpenssl } from "../support/certificates.ts";
import { Program, ROOT } from "../support/program.ts";
import { works } from "../support/tools.ts";

const STAND_IN = "/bin/true";

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
    assert.doesNotMatch(args, / (-A|--allow-all|--allow-(run|ffi|sys|import)\S*) /);
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

Deno.test({
  name: "the binary embeds everything that the program loads, and no tests (needs Linux)",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      const output = join(folder, "greet");
      const args = COMPILE.split(" ").map((arg) => arg === "greet" ? output : arg);
      const { stderr, success } = await new Deno.Command(Deno.execPath(), {
        args: ["compile", ...args],
        cwd: ROOT,
        env: { DENORT_BIN: STAND_IN, NO_COLOR: "1" },
      }).output();
      const listing = new TextDecoder().decode(stderr);
      assert(success, listing);
      const rooms = [...Deno.readDirSync(join(ROOT, "src"))].map(({ name }) => name);
      const packages = ["grpc-js", "reflection", "@peculiar"];
      for (const name of ["cli.ts", "deno.json", ...rooms, ...packages]) {
        assert.match(listing, new RegExp(`[─┬] ${name}[/ ]`), `${name} is missing`);
      }
      assert.doesNotMatch(listing, /_test\.ts|program\.ts|demo\.ts/);
      const binary = new TextDecoder("latin1").decode(await Deno.readFile(output));
      for (const service of ["Greeter", "Chat", "Health", "ServerReflection"]) {
        assert(binary.includes(`service ${service} {`), `the proto of ${service} is missing`);
      }
      for (const worker of ["greet: clients", "greet: server"]) {
        assert(binary.includes(worker), `the entry point of the Workers "${worker}" is missing`);
      }
      const [, embedded] = /"permissions":(\{.*?\}),"location"/.exec(binary) ?? [];
      const { allow_env, allow_net, allow_read, allow_write, ...rest } = JSON.parse(embedded);
      assert.deepEqual({ allow_net, allow_read, allow_write }, {
        allow_net: [],
        allow_read: [],
        allow_write: [],
      });
      assert.deepEqual(allow_env, [
        ...["GREET_*", "GRPC_*", "HOME", "XDG_STATE_HOME", "LOCALAPPDATA"],
        ...["NO_COLOR", "FORCE_COLOR", "TERM"],
      ]);
      for (const name of ["allow_run", "allow_ffi", "allow_sys"]) assert.equal(rest[name], null);
      assert.equal(rest.prompt, false);
      assert(binary.includes("--no-memory-reducer"));
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "compiling without a network says in one sentence what it needs (needs Linux and unshare)",
  ignore: Deno.build.os !== "linux" || !await works("unshare", "--net", "true"),
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
