/** Mistyped commands of a chat, and what is suggested. */
import assert from "node:assert/strict";
import { notInQueue, unknownCommand } from "../../src/chat/mistyped_commands.ts";
import { COMMAND_NAMES } from "../../src/chat/slash_commands.ts";

/** What people type, and the command that they mean. */
const MISTYPED: readonly [command: string, typed: string][] = [
  ["/quit", "/exit /Quit /QUIT /qiut /quti /q /bye /leave /logout //quit /quit! /disconnect"],
  ["/who", "/Who /WHO /whoo /users /list /names /online"],
  ["/help", "/h /? /Help /hlep /commands /man"],
  ["/history", "/hist /histroy /History /log /last"],
  ["/queue", "/que /Queue /pending /queu /waiting"],
  ["/cancel", "/cancle /Cancel /delete /undo /unsend"],
  ["/add", "/Add /invite /join"],
  ["/remove", "/Remove /remvoe /kick"],
  ["/verify", "/verfy /fingerprint /key /Verify"],
];

for (const [command, typed] of MISTYPED) {
  Deno.test(`${command} is suggested for what people type instead`, () => {
    for (const word of typed.split(" ")) {
      for (const line of [word, ` ${word} 9`]) {
        assert.equal(
          unknownCommand(line, COMMAND_NAMES),
          `Unknown command: ${word}. Did you mean ${command}?`,
        );
      }
    }
  });
}

Deno.test("a command that resembles none leads to /help, or is meant to be said", () => {
  for (const word of ["/frobnicate", "/etc/passwd", "/", "/constructor"]) {
    assert.equal(
      unknownCommand(`${word} x`, COMMAND_NAMES),
      `Unknown command: ${word}. /help lists the commands. ` +
        "To say a line that begins with /, begin it with //.",
    );
  }
});

Deno.test("a number that is not in the queue is answered with those that are", () => {
  assert.equal(notInQueue("9", 2), "There is no message 9: /queue lists messages 1 to 2.");
  assert.equal(notInQueue("0", 1), "There is no message 0: /queue lists only message 1.");
  assert.equal(notInQueue("all", 2), "Usage: /cancel N, where N is a number from /queue.");
  assert.equal(notInQueue("9", 0), "No messages are waiting, so there is nothing to cancel.");
});
