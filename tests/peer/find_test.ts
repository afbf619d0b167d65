/** Finding text in a journal. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { setImmediate } from "node:timers";
import { Journal } from "../../src/peer/journal.ts";
import { journalFile } from "../../src/peer/journal_file.ts";
import { homeTest } from "../support/home.ts";

const BOB = { names: ["Bob"], targets: [] };

/** A journal of Alice, with messages from peers that have been shown. */
async function journalWith(home: string, bodies: readonly string[], from = "Bob") {
  const journal = Journal.open({ home, name: "Alice" });
  for (const body of bodies) {
    const message = { id: crypto.randomUUID(), from, body, at: new Date() };
    journal.markShown(await journal.receive([message]));
  }
  return journal;
}

async function found(journal: Journal, text: string, limit = 9): Promise<string[]> {
  return (await journal.find(BOB, text, limit)).map(({ message }) => message.body);
}

const BODIES = [
  "Hello World",
  "100% sure",
  "a_b",
  "C:\\temp",
  'say "NEAR(x)" OR 1*2',
  "[a-z]^ Ärger mit ÄRGER",
  "Привет, Москва",
  "你好",
  "before\0AFTER",
  "👩‍🚀 İ ß",
];

for (
  const [text, ...expected] of [
    ["hello w", 0],
    ["O w", 0],
    ["h", 0],
    ["", ...BODIES.keys()],
    ["%", 1],
    ["_", 2],
    ["\\", 3],
    ['"near(', 4],
    ["or 1*", 4],
    ["*", 4],
    ["ärger MIT", 5],
    ["Z]^ ä", 5],
    ["[a-z]", 5],
    ["москва", 6],
    ["ПРИВЕТ", 6],
    ["好", 7],
    ["after", 8],
    ["e\0a", 8],
    ["🚀", 9],
    ["ß", 9],
    ["x".repeat(100_000)],
    ["Hello_World"],
    ["?ello"],
  ] as [string, ...number[]][]
) {
  homeTest(`finding ${JSON.stringify(text.slice(0, 20))}`, async (home) => {
    using journal = await journalWith(home, BODIES);
    assert.deepEqual(await found(journal, text, 99), expected.map((i) => BODIES[i]));
  });
}

homeTest("the last lines are found, of this conversation alone", async (home) => {
  using journal = await journalWith(home, ["one fish", "two fish", "red fish", "blue fish"]);
  const message = { id: "1", from: "Carol", body: "cold fish", at: new Date() };
  journal.markShown(await journal.receive([message]));
  const own = { id: "2", from: "Alice", body: "my fish", at: new Date() };
  const { place } = await journal.send(own, () => [{ target: "1", name: "Bob" }]);
  assert.deepEqual(await found(journal, "fish", 2), ["red fish", "blue fish"]);
  journal.endDelivery("Bob", [place], "delivered");
  assert.deepEqual(await found(journal, "FISH", 2), ["blue fish", "my fish"]);
});

homeTest("a long journal is searched from its end to its beginning", async (home) => {
  Journal.open({ home, name: "Alice" })[Symbol.dispose]();
  const database = new DatabaseSync(journalFile(home, "Alice"));
  database.prepare(`
    INSERT INTO message (id, sender, body, at, taken, shown)
    SELECT value, 'Bob', 'line ' || value, 0, 0, 1 FROM json_each(?)`).run(
    JSON.stringify([...Array(50_001).keys()].slice(1)),
  );
  database.close();
  using journal = Journal.open({ home, name: "Alice" });
  const last = [...Array(9).keys()].map((i) => `line ${19_991 + i}`);
  assert.deepEqual(await found(journal, "LINE 1"), last);
  assert.deepEqual(await found(journal, "line 7", 1), ["line 7999"]);
  assert.equal((await found(journal, "line 1", 50_000)).length, 11_111);
});

homeTest("a search in long messages lets other work go on", async (home) => {
  using journal = await journalWith(home, Array(10).fill("x".repeat(1_900_000)));
  let turns = 0;
  let isSearching = true;
  const count = () => {
    turns++;
    if (isSearching) setImmediate(count);
  };
  setImmediate(count);
  assert.deepEqual(await found(journal, "y"), []);
  isSearching = false;
  assert(turns >= 10, `${turns} turns`);
});
