/** Chats for programs: what they print and what they take. */
import { Ajv2020 } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import process from "node:process";
import schema from "../docs/json.schema.json" with { type: "json" };
import { Bot, type ChatEvent, freePorts, greetCommand, Program, ROOT } from "./program.ts";

const validate = new Ajv2020({ strict: true, allErrors: true }).compile(schema);

function assertValid(events: readonly ChatEvent[]): void {
  for (const event of events) {
    assert(validate(event), `${JSON.stringify(event)}: ${JSON.stringify(validate.errors)}`);
  }
}

Deno.test("every event is as the schema says, and every kind of event occurs", async () => {
  const [, b] = freePorts();
  await using alice = new Bot(["Alice", "0", b, "--linger", "0"]);
  const [{ port }] = await alice.until("listening");
  await alice.say("before you came");
  {
    await using bob = new Bot(["Bob", b, `${port}`]);
    await bob.until("message");
    await bob.say("Hello,\nAlice \u202e\x1b[2J 👩‍🚀!");
    const [{ body, from, at }] = await alice.until("message");
    assert.equal(body, "Hello,\nAlice \u202e\x1b[2J 👩‍🚀!");
    assert.equal(from, "Bob");
    assert(Math.abs(Date.now() - Date.parse(`${at}`)) < 60_000);
    await alice.until("delivered");
    await bob.kill();
    assertValid(bob.events);
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
  await alice.say("after you left");
  await alice.until("queued", 2);
  await alice.program.end();
  assert.equal(await alice.program.code(), 78);
  assert.deepEqual(alice.all("error").map(({ code }) => code), ["USAGE", "UNAVAILABLE"]);
  assertValid(alice.events);
  const types = [...new Set(alice.events.map(({ type }) => type))].sort();
  const known = schema.oneOf.map(({ properties }) => properties.type.const).sort();
  assert.deepEqual(types, known);
  assert.equal(alice.program.err.text, "");
});

Deno.test("the schema refuses what is none of it", () => {
  for (
    const event of [
      {},
      { type: "message" },
      { type: "left", name: "" },
      { type: "joined", name: "Bob", back: true, more: 1 },
      { type: "message", id: "", from: "Bob", body: "hi", at: "yesterday" },
    ]
  ) assert.equal(validate(event), false, JSON.stringify(event));
});

Deno.test("bad lines are answered and harm nothing; plain lines and objects are said", async () => {
  const [a, b] = freePorts();
  await using alice = new Bot(["Alice", a, b]);
  await using bob = new Bot(["Bob", b, a]);
  const bad = ["{", '{"body": 1}', '{"text": "hi"}', "{}", '  {"body": null}', '{"body": "a"} b'];
  const good = ["plain", '"quoted"', "[1]", '{"body": "an object"}', '{"body": "/quit"}', "/who"];
  for (const line of [...bad, "", "   ", ...good]) await alice.program.write(line + "\n");
  const received = await bob.until("message", good.length);
  assert.deepEqual(received.map(({ body }) => body), [
    ...["plain", '"quoted"', "[1]", "an object", "/quit", "/who"],
  ]);
  const errors = alice.all("error");
  assert.equal(errors.length, bad.length);
  for (const { code } of errors) assert.equal(code, "USAGE");
  assertValid(alice.events);
  await alice.program.write("/quit\n");
  assert.equal(await alice.program.code(), 0);
});

const hasJq = await new Deno.Command("jq", { args: ["--version"] }).output()
  .then(({ success }) => success, () => false);

Deno.test({
  name: "the bot of the documentation answers (needs a shell and jq)",
  ignore: !hasJq,
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
    // The bot is three processes: all of its session.
    process.kill(-bot.pid, "SIGTERM");
    await bot.code();
    await human.program.write("/quit\n");
    await human.program.code();
    await Deno.remove(folder, { recursive: true });
  },
});
