/**
 * Completions: what is offered, that it is fast and silent, and that real shells insert names from a
 * hostile naming service as plain words.
 */
import assert from "node:assert/strict";
import { quoteForBash, readBashLine } from "../../src/cli/bash_line.ts";
import { pause } from "../../src/base/timing.ts";
import { openIdentity } from "../../mod.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { NAMES } from "../../src/rpc/services.ts";
import { answerTo } from "../support/in_process.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, ROOT, run } from "../support/program.ts";
import { Terminal } from "../support/terminal.ts";
import { hasCommand, isPosix } from "../support/tools.ts";

/** What is offered for words, of which the last is unfinished: what the shell adds, and words. */
async function offered(...line: string[]): Promise<[kind: string, ...words: string[]]> {
  const { code, out, err } = await answerTo(["completions", "fish", "--", ...line]);
  assert.deepEqual({ code, err }, { code: 0, err: "" });
  const [kind, ...words] = out.trimEnd().split("\n");
  return [kind, ...words.map((line) => line.split("\t")[0])];
}

/** What is offered for a line of bash, with its default word breaks. */
async function offeredInBash(line: string): Promise<string[]> {
  const { out } = await answerTo(["completions", "bash", "--", " \t\n\"'@><=;|&(:", line]);
  return out.trimEnd().split("\n").slice(1);
}

/** Asks until there is an answer: on a busy machine, the naming service may be too late. */
async function inTime(offer: () => Promise<string[]>): Promise<string[]> {
  for (let tries = 1; tries < 10; tries++) {
    const words = (await offer()).filter((word) => word !== "words");
    if (words.length > 0) return words;
  }
  return [];
}

/** A naming server with entries of its own. */
async function namingServer(names: readonly string[], answer = Promise.resolve()) {
  const entries = names.map((name) => {
    return { name, address: "127.0.0.1:1", shared: true, sinceMs: 1, fingerprint: "" };
  });
  const service = implement(NAMES, {
    async *Register() {},
    Lookup: () => ({ entries: [] }),
    List: async () => (await answer, { entries, nextPageToken: "" }),
    async *Watch() {},
  });
  const server = await serve({ host: "127.0.0.1", port: 0, services: [service] });
  return { port: `${server.port}`, [Symbol.asyncDispose]: () => server.stop(0) };
}

Deno.test("every command and every option is completed", async () => {
  const { out } = await answerTo(["--help"]);
  const commands = [...out.matchAll(/^ {2}greet (\w+) .*? {2}/gm)].map(([, name]) => name);
  const [, ...first] = await offered("");
  for (const command of [...new Set(commands)]) {
    assert(first.includes(command), command);
    const help = (await answerTo([command, "--help"])).out;
    const options = [...help.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, option]) => option);
    assert.deepEqual((await offered(command, "-")).slice(1).sort(), options.sort());
  }
  assert.deepEqual((await offered("help", "")).slice(1), [...new Set(commands)]);
});

Deno.test("what can stand at the cursor follows from the words before it", async () => {
  assert.deepEqual(await offered("serve", "--cert", ""), ["files"]);
  assert.deepEqual(await offered("serve", "--cert=x"), ["files"]);
  assert.deepEqual(await offered("chat", "--home", ""), ["folders"]);
  assert.deepEqual(await offered("serve", "--advertise", ""), ["hosts"]);
  assert.deepEqual(await offered("chat", "--bell", ""), ["words", "all", "mention"]);
  assert.deepEqual(await offered("chat", "--bell="), ["words", "--bell=all", "--bell=mention"]);
  assert.deepEqual(await offered("names", ""), ["words", "list", "watch"]);
  assert.deepEqual(await offered("names", "list", ""), ["words"]);
  assert.deepEqual(await offered("serve", ""), ["words"]);
  assert.deepEqual(await offered("completions", ""), ["words", "bash", "zsh", "fish"]);
  assert(!(await offered("serve", "--json", "-")).includes("--json"));
  assert.deepEqual(await offered("serve", "--", "-"), ["words"]);
  assert.deepEqual(await offered("nonsense", ""), ["words"]);
});

Deno.test("names of the naming service are offered for targets, and only there", async () => {
  await using service = await namingServer([
    "Anna Lena",
    "Bob",
    "--insecure",
    "55556",
    "x:1",
    "a@b",
  ]);
  const { port } = service;
  const offer = (...line: string[]) => inTime(() => offered(...line));
  const expected = ["Anna Lena", "Bob"];
  assert.deepEqual(await offer("greet", "--names", port, ""), expected);
  assert.deepEqual(await offer("chat", "Me", "1", `--names=${port}`, "Bob", ""), expected);
  assert.deepEqual(await offer("names", "--names", port, "watch", ""), expected);
  assert.deepEqual(await offered("greet", "--names", port, "Bob", ""), ["words"]);
  assert.deepEqual(await offer("greet", "--names", port, "--", ""), ["--insecure", ...expected]);
});

Deno.test("names with an identity or a journal in the home directory are offered for NAME", async () => {
  const home = await Deno.makeTempDir();
  await openIdentity(home, "Zoë");
  const [port, peer] = freePorts(2);
  const args = ["chat", "Anna Lena", port, peer, "--home", home, "--linger", "0.1"];
  assert.equal((await run(args, { input: "hello\n" })).code, 78);
  await Deno.writeTextFile(`${home}/journals/broken.sqlite`, "broken");
  for (const command of ["id", "chat", "history", "forget"]) {
    assert.deepEqual(await offered(command, "--home", home, ""), ["words", "Anna Lena", "Zoë"]);
  }
  await Deno.remove(home, { recursive: true });
});

Deno.test("a naming service that does not answer, or not at all, is not waited for or reported", async () => {
  const { promise: never, resolve } = Promise.withResolvers<void>();
  await using silent = await namingServer(["Bob"], never);
  for (const place of [silent.port, "1", "nonsense:", "etcd://127.0.0.1:1", "tls://127.0.0.1:1"]) {
    const { code, out, err } = await run([
      "completions",
      "zsh",
      "--",
      "greet",
      "--names",
      place,
      "",
    ]);
    assert.deepEqual({ code, out, err }, { code: 0, out: "words\n", err: "" }, place);
  }
  const start = performance.now();
  await offered("greet", "--names", silent.port, "");
  // It is 200 ms, but the machine may be busy.
  assert(performance.now() - start < 10_000);
  resolve();
});

Deno.test("in bash, only what follows the last word break is offered, in the quotes that are open", async () => {
  await using service = await namingServer(["Anna Lena", "a:b", 'q"$x', "it's!"]);
  const offer = (line: string) => inTime(() => offeredInBash(line));
  const line = `LANG=C greet greet --names ${service.port} `;
  assert.deepEqual(await offer(`${line}An`), [String.raw`Anna\ Lena`]);
  assert.deepEqual(await offer(`${line}"An`), ['"Anna Lena"']);
  assert.deepEqual(await offer(`${line}'An`), ["'Anna Lena'"]);
  assert.deepEqual(await offer(`${line}q`), [String.raw`q\"\$x`]);
  assert.deepEqual(await offer(`${line}"it`), [String.raw`"it's"\!""`]);
  assert.deepEqual(await offeredInBash("greet chat --bell=m"), ["mention"]);
  assert.deepEqual(await offeredInBash("greet serve --host ::1"), ["1"]);
  // Nothing of the line is evaluated.
  assert.deepEqual(await offeredInBash(`greet greet --names $(echo ${service.port}) `), []);
});

Deno.test({
  name: "what is quoted for bash is one word to bash, with nothing in it evaluated (needs bash)",
  ignore: !isPosix || !hasCommand("bash"),
  async fn() {
    const all = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("");
    const texts = [
      all,
      "$(echo x)",
      "`echo x`",
      "a\\",
      "'",
      '"',
      "~",
      "Zoë 👩‍🚀",
      "{a,b}",
      "!!",
      "-n",
    ];
    for (const text of texts) {
      for (const quote of ["", "'", '"'] as const) {
        const quoted = quoteForBash(text, quote);
        assert(quoted.startsWith(quote));
        assert.deepEqual(readBashLine(`greet ${quoted}`, "").words, ["greet", text]);
        const { stdout } = await new Deno.Command("bash", {
          args: ["-c", `printf '<%s>' ${quoted}`],
        }).output();
        assert.equal(new TextDecoder().decode(stdout), `<${text}>`, quoted);
      }
    }
  },
});

Deno.test("a shell without completions is refused", async () => {
  const { code, err } = await answerTo(["completions", "tcsh"]);
  assert.equal(code, 2);
  assert.match(
    err,
    /^greet: error: there are completions for bash, zsh and fish, not for "tcsh"\n/,
  );
  assert.equal((await answerTo(["completions"])).code, 2);
});

/** Names that would do harm if a shell evaluated them, by their first letters. All end in `zz`. */
const HOSTILE: Readonly<Record<string, string>> = {
  ...{ An: "Anna Lenazz", b: "b`touch PWNED`zz", c: "c;touch PWNED;zz", d: "d$PWD zz" },
  ...{ e: "e\"q'zz", f: "f\\zz", g: "g!lszz", h: "h* ?zz", i: "i|touch PWNED&zz", k: "k~zz" },
};

/** Names that no naming service may hand out. */
const INVALID = ["l\ntouch PWNED\nzz", "m$(touch PWNED)zz", "n\x1b[2Jzz", "o>PWNED"];

const SHELLS: Readonly<Record<string, { start: string[]; load: string }>> = {
  bash: {
    start: ["bash", "--norc", "--noprofile", "-i"],
    load: 'eval "$(greet completions bash)"',
  },
  zsh: {
    start: ["zsh", "-f", "-i"],
    load: 'autoload -U compinit; compinit -D; eval "$(greet completions zsh)"',
  },
  fish: {
    start: ["fish", "--no-config", "--private", "-C", "function fish_prompt; echo -n '$ '; end"],
    load: "greet completions fish | source",
  },
};

/**
 * Presses Tab until there are so many completed words. On a busy machine, the naming service may be
 * too late for the first time.
 */
async function completed(terminal: Terminal, count: number): Promise<void> {
  for (let tries = 0;; tries++) {
    await terminal.type("Tab");
    const end = Date.now() + 3_000;
    while (Date.now() < end) {
      if ((await terminal.screen()).split("zz").length > count) return;
      await pause(20);
    }
    assert(tries < 5, await terminal.screen());
  }
}

for (const [shell, { start, load }] of Object.entries(SHELLS)) {
  Deno.test({
    name:
      `${shell} completes names from a hostile service as plain words (needs tmux and ${shell})`,
    ignore: !hasCommand("tmux") || !hasCommand(shell),
    async fn() {
      const folder = await Deno.makeTempDir();
      const command = greetCommand().map((word) => quoteForBash(word, "'")).join(" ");
      await Deno.writeTextFile(
        `${folder}/greet`,
        `#!/bin/sh\ncd ${quoteForBash(ROOT, "'")}\nexec ${command} "$@"\n`,
        {
          mode: 0o700,
        },
      );
      await using service = await namingServer([...Object.values(HOSTILE), ...INVALID]);
      const env = ["env", `PATH=${folder}:${Deno.env.get("PATH")}`, "HISTFILE=", "EDITOR="];
      await using terminal = await Terminal.open({
        columns: 500,
        rows: 50,
        shell: [...env, `GREET_NAMES=${service.port}`, ...start],
      });
      await terminal.write(`cd ${folder}; ${load}; clear; echo "loa"ded`);
      await terminal.type("Enter");
      await terminal.until(/^loaded/m);
      await terminal.write("greet chat Me ");
      const expected: string[] = [];
      for (
        const typed of ["An", ..."bcdefghik", '"An', '"b', '"d', '"e', '"g', "'An", "'e", "'f"]
      ) {
        await terminal.write(typed);
        expected.push(`<${HOSTILE[typed.replace(/^["']/, "")]}>`);
        await completed(terminal, expected.length);
      }
      await terminal.type("C-a");
      await terminal.write("clear; printf '<%s>\\n' ");
      await terminal.type("Enter");
      const screen = await terminal.until(/^<Anna Lenazz>(\n.*)*\n<f\\zz>\n\$/m);
      assert.deepEqual(screen.split("\n").filter((line) => line.endsWith("zz>")), expected);
      assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["greet"]);
      await Deno.remove(folder, { recursive: true });
    },
  });
}
