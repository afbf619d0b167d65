/** Any command line gets a documented exit code, and at most one sentence and a hint. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { answerTo } from "../support/in_process.ts";
import { propertyTest } from "../support/properties.ts";

const COMMANDS = [
  "serve",
  "greet",
  "chat",
  "names",
  "id",
  "history",
  "forget",
  "completions",
  "help",
];
const WORDS = [
  ...COMMANDS,
  ...[
    "Alice",
    "Bob",
    "55550",
    "0",
    "65536",
    "127.0.0.1:55550",
    "[::1]:1",
    "Bob@1",
    "list",
    "watch",
  ],
  ...[
    "--help",
    "--json",
    "--tls",
    "--names",
    "--names=",
    "--port",
    "-h",
    "--",
    "-",
    "",
    "--=",
    "--no-such",
  ],
  ...[
    "--home",
    "--home=/proc/nowhere",
    "--wait",
    "--max-time",
    "-1",
    "1e9",
    "NaN",
    "--threads",
    "9999",
  ],
  ...["--cert", "/dev/null", "/dev/full", "/", "--roots", "é", "\u202e", "\x1b[31m", "\0", "a\nb"],
];

/** The home in most command lines cannot exist, so that nothing starts or is written. */
const command = fc.tuple(
  fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...COMMANDS) }, fc.constantFrom(...WORDS)),
  fc.array(
    fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...WORDS) }, fc.string({ unit: "binary" })),
    { maxLength: 6 },
  ),
);

propertyTest("a command line is carried out, or refused in a sentence", command, async (words) => {
  const args = [words[0], "--home=/proc/nowhere", ...words[1]].filter((_, i) =>
    i !== 1 || ["chat", "id", "history", "forget"].includes(words[0])
  );
  const { code, err } = await answerTo(args);
  // A command that starts is interrupted at once, which is 130.
  assert([0, 1, 2, 130].includes(code), `${code}`);
  assert.doesNotMatch(err, /\bat .*:\d+:\d+|os error|Deno\.|undefined|\[object/, err);
  // deno-lint-ignore no-control-regex -- these would act on a terminal
  assert.doesNotMatch(err.replaceAll("\n", ""), /[\x00-\x1f\x7f-\x9f\u202e]/, err);
  if (code === 2) assert.match(err, /^greet: error: .*\n(greet: hint: .*\n)*(Usage|\n|$)/, err);
}, 1_000);
