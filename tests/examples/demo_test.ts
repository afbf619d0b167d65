/** The demonstration: `deno task demo`. */
import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { Program } from "../support/program.ts";

Deno.test("the demo shows a greeting, a message that waits for Bob, and names; it ends by itself", async () => {
  const [, ...args] = config.tasks.demo.split(" ");
  await using demo = new Program([Deno.execPath(), ...args]);
  assert.equal(await demo.code(), 0);
  assert.equal(demo.err.text, "");
  const [, greetings, chat, back, names] = demo.out.text.split(/^# .*\n/m);
  assert.match(greetings, /\[Bob\] Message received from server: "Hello, Bob\."/);
  assert.match(
    chat,
    /Bob has left\.\n\[.*\] Alice> Are you still there\? \(waiting\)\nBob is back\.\n/,
  );
  assert.match(back, /You are chatting with Alice\.\n\n\[.*\] Alice> Are you still there\?\n/);
  assert.match(names, /\[Names\] Carol is at .*\n[^]*\] Dave> Hello, Carol!\n/);
});
