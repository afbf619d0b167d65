/** Chats for programs: their output and input. */
import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import { join } from "node:path";
import process from "node:process";
import schema from "../../docs/json.schema.json" with { type: "json" };
import { Bot, type ChatEvent } from "../support/bot.ts";
import { temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, Program, ROOT, run } from "../support/program.ts";
import { hasCommand } from "../support/tools.ts";

const validate = new Ajv2020({ strict: true, allErrors: true }).compile(schema);

/** Checks everything that a bot has printed against the schema. */
function assertValid(bot: Bot): void {
  for (const event of allOf(bot)) {
    assert(validate(event), `${JSON.stringify(event)}: ${JSON.stringify(validate.errors)}`);
  }
}

/** The types of events about identities. */
const IDENTITY_EVENTS = ["impostor", "lookalike", "met", "newcomer"];

/** The types of events about peers whose commands do not name each other. */
const ONE_SIDED_EVENTS = ["caller", "refused"];

/** The types of the events that a bot has printed, each once. */
function typesOf(bot: Bot): string[] {
  return [...new Set(allOf(bot).map(({ type }) => type))].sort();
}

/** All events that a bot has printed, including those that no test has waited for. */
function allOf(bot: Bot): readonly ChatEvent[] {
  bot.all("");
  return bot.events;
}

/** A home with a key for a name, and the key's fingerprint. */
async function homeWithKey(name: string) {
  const home = temporaryHome();
  const { out } = await run(["id", name, "--json"], home);
  return { ...home, fingerprint: JSON.parse(out).fingerprint as string };
}

Deno.test("every event matches the schema, and every type of event occurs", async () => {
  const [absent, b] = freePorts();
  await using alice = new Bot(["Alice", "0", b, "--linger", "0"]);
  const [{ port }] = await alice.until("listening");
  await alice.program.write('{"body": "waits", "action": true}\n');
  {
    await using bob = new Bot(["Bob", b, `${port}`]);
    await bob.until("message");
    await bob.say("Hello,\nAlice \u202e\x9b\x1b[2J 👩‍🚀!");
    const [{ body, from, at }] = await alice.until("message");
    assert.equal(body, "Hello,\nAlice \u202e\x9b\x1b[2J 👩‍🚀!");
    assert.equal(from, "Bob");
    assert(Math.abs(Date.now() - Date.parse(`${at}`)) < 60_000);
    await alice.until("delivered");
    await bob.kill();
    assertValid(bob);
  }
  await alice.until("left");
  await alice.program.write("{not JSON\n");
  await alice.until("error");
  {
    await using bob = new Bot(["Bob", b, `${port}`]);
    await alice.until("joined");
    await bob.program.write("/quit\n");
    await bob.program.code();
  }
  await alice.until("left", 2);
  await alice.program.write('{"body": "after you left", "to": "Bob"}\n');
  await alice.until("queued", 2);
  await alice.program.write(`{"add": "${absent}"}\nfor both\n{"remove": "${absent}"}\n`);
  const [removed] = await alice.until("removed");
  assert.equal(removed.waiting, true);
  await alice.program.end();
  assert.equal(await alice.program.code(), 78);
  assert.deepEqual(alice.all("error").map(({ code }) => code), ["USAGE", "UNAVAILABLE"]);
  assertValid(alice);
  const known = schema.oneOf.map(({ properties }) => properties.type.const).sort();
  assert.deepEqual(
    [...typesOf(alice), ...IDENTITY_EVENTS, ...ONE_SIDED_EVENTS].sort(),
    known,
  );
  assert.equal(alice.program.err.text, "");
  // Characters that a terminal could act on are escaped.
  assert(alice.program.out.text.includes("\\u202e\\u009b\\u001b[2J 👩‍🚀"));
});

Deno.test("events about a peer whose command does not name us match the schema", async () => {
  await using alices = await homeWithKey("Alice");
  const [a, b, c] = freePorts(3);
  await using alice = new Bot(["Alice", a, b, "--tls"], alices);
  await using bob = new Bot(["Bob", b, c, "--tls"]);
  const [[refused], [caller]] = await Promise.all([
    alice.until("refused"),
    bob.until("caller"),
  ]);
  assert.deepEqual(refused, {
    type: "refused",
    name: "Bob",
    target: `127.0.0.1:${b}`,
    message: `Bob is at 127.0.0.1:${b}, but Bob's command does not name your port ${a}`,
    hint: `ask Bob to add ${a}`,
  });
  assert.deepEqual(caller, {
    type: "caller",
    name: "Alice",
    fingerprint: alices.fingerprint,
    known: false,
    from: `127.0.0.1:${a}`,
    argument: a,
  });
  await Promise.all([alice.kill(), bob.kill()]);
  for (const bot of [alice, bob]) assertValid(bot);
});

Deno.test("events about identities match the schema", async () => {
  await using bobs = await homeWithKey("Bob");
  await using theirs = await homeWithKey("Bob");
  const [, b, c] = freePorts(3);
  await using alice = new Bot(["Alice", "0", b, c, "--tls"]);
  const [{ port }] = await alice.until("listening");
  {
    await using bob = new Bot(["Bob", b, `${port}`, "--tls"], bobs);
    const [met] = await alice.until("met");
    assert.deepEqual(met, { type: "met", name: "Bob", fingerprint: bobs.fingerprint });
    await Promise.all([alice.until("welcome"), bob.until("welcome")]);
    await bob.kill();
    assertValid(bob);
  }
  await alice.until("left");
  await alice.say("not for everybody");
  await alice.until("queued");
  {
    await using other = new Bot(["Bob", b, `${port}`, "--tls"], theirs);
    const [{ message, hint, ...impostor }] = await alice.until("impostor");
    assert.deepEqual(impostor, {
      type: "impostor",
      name: "Bob",
      fingerprint: theirs.fingerprint,
      known: [bobs.fingerprint],
    });
    assert.match(
      `${message}`,
      /^127\.0\.0\.1:\d+: the peer there claims to be Bob but has the key /,
    );
    for (const key of [bobs, theirs]) assert(`${message}`.includes(key.fingerprint));
    assert(`${hint}`.includes(join(alice.program.home, "known_peers")), `${hint}`);
    const [error] = await alice.until("error");
    assert.deepEqual(error, { type: "error", code: "UNAVAILABLE", message, hint });
    await other.say("I am Bob");
    const [refused] = await other.until("refused");
    assert.match(`${refused.message}`, /Alice knows Bob by another key/);
    await other.kill();
    assert.deepEqual(other.all("message"), []);
    assertValid(other);
  }
  {
    await using bob = new Bot(["Bob", b, `${port}`, "--tls"], bobs);
    const [{ body }] = await bob.until("message");
    assert.equal(body, "not for everybody");
    await using likeBob = new Bot(["B0b", c, `${port}`, "--tls"]);
    const [lookalike] = await alice.until("lookalike");
    assert.deepEqual(lookalike, { type: "lookalike", name: "B0b", like: "Bob" });
    await likeBob.until("message");
    const delivered = await alice.until("delivered", 2);
    assert.deepEqual(delivered.map(({ to }) => to), ["Bob", "B0b"]);
    await Promise.all([bob.kill(), likeBob.kill()]);
    for (const bot of [bob, likeBob]) assertValid(bot);
  }
  {
    await using carol = new Bot(["Carol", b, `${port}`, "--tls"]);
    const [{ name, target, previous, refused }] = await alice.until("newcomer");
    const bob = { name: "Bob", fingerprint: bobs.fingerprint };
    assert.deepEqual([name, target, previous, refused], ["Carol", `127.0.0.1:${b}`, bob, true]);
    await carol.kill();
  }
  await alice.kill();
  assert.deepEqual(alice.all("met").map(({ name }) => name), ["Bob", "B0b"]);
  assert.deepEqual([alice.all("impostor").length, alice.all("message").length], [1, 0]);
  assert.deepEqual(
    typesOf(alice).filter((type) => IDENTITY_EVENTS.includes(type)),
    IDENTITY_EVENTS,
  );
  assertValid(alice);
});

for (const options of [[], ["--tls"]]) {
  const how = options.length === 0 ? "nothing is encrypted" : "everything is encrypted";
  Deno.test(`a name that looks like our own is reported if ${how}`, async () => {
    const [a, b] = freePorts();
    await using alice = new Bot(["Alice", a, b, ...options]);
    await using like = new Bot(["A1ice", b, a, ...options]);
    const [[hers], [theirs]] = await Promise.all([
      alice.until("lookalike"),
      like.until("lookalike"),
    ]);
    assert.deepEqual(hers, { type: "lookalike", name: "A1ice", like: "Alice" });
    assert.deepEqual(theirs, { type: "lookalike", name: "Alice", like: "A1ice" });
    await like.say("hello");
    await alice.until("message");
    await Promise.all([alice.kill(), like.kill()]);
    for (const bot of [alice, like]) {
      assertValid(bot);
      const types = allOf(bot).map(({ type }) => type);
      const expected = options.length === 0 ? ["welcome"] : ["met", "welcome"];
      assert.deepEqual(types.filter((type) => ["met", "welcome"].includes(type)), expected);
    }
  });
}

Deno.test("an error has a hint if there is one to give", async () => {
  const [a, b] = freePorts();
  await using secure = new Bot(["Alice", a, b, "--tls"]);
  await using plain = new Bot(["Bob", b, a]);
  await Promise.all([secure.until("error"), plain.until("error")]);
  await secure.program.write("{}\n");
  await secure.until("error", 2);
  await Promise.all([secure.kill(), plain.kill()]);
  for (const bot of [secure, plain]) {
    assertValid(bot);
    for (const { hint } of bot.all("error")) assert.match(`${hint}`, /--tls|\{"body": "…"\}/);
  }
});

/** A valid event. */
const IMPOSTOR = {
  type: "impostor",
  name: "Bob",
  fingerprint: `SHA256:${"a".repeat(43)}`,
  known: [`SHA256:${"b".repeat(43)}`],
  message: "somebody else",
  hint: "ask Bob",
};

Deno.test("the schema rejects events that do not match it", () => {
  assert(validate(IMPOSTOR));
  for (
    const event of [
      {},
      { type: "message" },
      { type: "left", name: "" },
      { type: "joined", name: "Bob", back: true, more: 1 },
      { type: "message", id: "", from: "Bob", body: "hi", at: "yesterday" },
      { type: "error", code: "FAILED", message: "no", hint: null },
      { type: "met", name: "Bob" },
      { type: "met", name: "Bob", fingerprint: "SHA256:abc" },
      { type: "lookalike", name: "B0b" },
      { ...IMPOSTOR, known: [] },
      { ...IMPOSTOR, known: ["another"] },
      { ...IMPOSTOR, hint: undefined },
      { ...IMPOSTOR, target: "55556" },
    ]
  ) assert.equal(validate(event), false, JSON.stringify(event));
});

Deno.test("bad lines are answered with their number and do no harm; plain lines and objects are sent", async () => {
  const [a, b] = freePorts();
  await using alice = new Bot(["Alice", a, b]);
  await using bob = new Bot(["Bob", b, a]);
  const bad = [
    "{",
    '{"body": 1}',
    '{"to": "Bob", "text": "hi"}',
    '{"type": "message", "text": "hi", "from": "Alice"}',
    "{}",
    '  {"body": null}',
    '{"body": "a"} b',
  ];
  const good = ["plain", '"quoted"', "[1]", '{"body": "an object"}', '{"body": "/quit"}', "/who"];
  const lines = [...bad, "", "   ", ...good, "{"];
  for (const line of lines) await alice.program.write(line + "\n");
  const received = await bob.until("message", good.length);
  assert.deepEqual(received.map(({ body }) => body), [
    ...["plain", '"quoted"', "[1]", "an object", "/quit", "/who"],
  ]);
  const errors = await alice.until("error", bad.length + 1);
  for (const [i, { code, message }] of errors.entries()) {
    assert.equal(code, "USAGE");
    const number = i < bad.length ? i + 1 : lines.length;
    assert(`${message}`.startsWith(`line ${number} of the input: `), `${message}`);
  }
  assert.equal(errors[2].message, 'line 3 of the input: the object has no "body"');
  for (const error of errors.slice(2, 4)) {
    assert.equal(error.hint, 'did you mean {"body": "hi"}?');
  }
  assertValid(alice);
  await alice.program.write("/quit\n");
  assert.equal(await alice.program.code(), 0);
});

const hasTools = hasCommand("sh") && hasCommand("jq") && hasCommand("setsid");

Deno.test({
  name: "the bot in the documentation answers (needs a shell, jq and setsid)",
  ignore: !hasTools,
  async fn() {
    const text = await Deno.readTextFile(`${ROOT}/docs/json.md`);
    const [, script] = /```sh\n([^]*?)```/.exec(text)!;
    const [a, b] = freePorts();
    const folder = await Deno.makeTempDir();
    const command = greetCommand().map((part) => part === "cli.ts" ? `${ROOT}cli.ts` : part);
    const greet = `greet() { ${command.map((part) => `'${part}'`).join(" ")} "$@"; }\n`;
    const ours = script.replace("55555", a).replace("55556", b);
    await using bot = new Program(["setsid", "sh", "-c", greet + ours], { cwd: folder });
    await using human = new Bot(["Human", b, a]);
    await human.say("hello", "still there?");
    const answers = await human.until("message", 2);
    assert.deepEqual(answers.map(({ body }) => body), [
      "Human said hello",
      "Human said still there?",
    ]);
    // The bot is several processes in one session; end them all.
    process.kill(-bot.pid, "SIGTERM");
    await bot.code();
    await human.program.write("/quit\n");
    await human.program.code();
    await Deno.remove(folder, { recursive: true });
  },
});
