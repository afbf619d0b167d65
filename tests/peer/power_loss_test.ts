/** A power failure at any moment loses nothing that a chat has reported as stored. */
import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { openIdentity } from "../../src/identity/identity.ts";
import { KnownPeers } from "../../src/identity/known_peers.ts";
import { Journal } from "../../src/peer/journal.ts";
import { journalFile } from "../../src/peer/journal_file.ts";
import type { ChatEvent } from "../support/bot.ts";
import { canInject, recordedChat } from "../support/disk_faults.ts";
import { temporaryHome } from "../support/home.ts";
import { RecordedDisk, RECORDING } from "../support/power_loss.ts";
import { randomNumbers } from "../support/random.ts";

/** How often the power fails at each moment, each time with other remains. */
const SEEDS = Number(Deno.env.get("GREET_TEST_SEEDS") ?? 1);

/** Starts with what is left in a home, and checks that everything reported is there. */
async function checkRemains(home: string, events: readonly ChatEvent[], fingerprint: string) {
  const has = (type: string) => events.some((event) => event.type === type);
  const identity = await openIdentity(home, "Alice");
  if (has("met")) assert.equal(identity.fingerprint, fingerprint, "another identity");
  const known = KnownPeers.in(home);
  const met = events.find(({ type }) => type === "met");
  if (met !== undefined) assert.deepEqual(known.keysOf("Bob"), [met.fingerprint], "Bob's key");
  assert(known.peers.length <= 1);
  {
    using journal = Journal.open({ home, name: "Alice" });
    assert.equal(journal.notice, undefined);
  }
  using database = new DatabaseSync(journalFile(home, "Alice"));
  const ids = database.prepare("SELECT id FROM message").all().map(({ id }) => id);
  const reported = events.filter(({ type }) => type === "queued" || type === "message");
  for (const { id, body } of reported) assert(ids.includes(id!), `"${body}" is lost`);
}

Deno.test({
  name: "a power failure at any moment loses nothing that was reported as stored (needs strace)",
  ignore: !canInject,
  async fn() {
    await using alices = temporaryHome();
    const { GREET_HOME } = alices.env;
    const record = (await recordedChat(GREET_HOME, RECORDING)).split("\n");
    const { fingerprint } = await openIdentity(GREET_HOME, "Alice");
    const disk = new RecordedDisk(GREET_HOME);
    let printed = "";
    for (const [moment, line] of record.entries()) {
      const { changes } = disk;
      const text = disk.apply(line);
      printed += text ?? "";
      if (text === undefined && disk.changes === changes) continue;
      const events = printed.split("\n").slice(0, -1).map((text): ChatEvent => JSON.parse(text));
      for (let seed = 0; seed < SEEDS; seed++) {
        await using remains = temporaryHome();
        disk.fail(remains.env.GREET_HOME, randomNumbers(moment * 1_000 + seed));
        try {
          await checkRemains(remains.env.GREET_HOME, events, fingerprint);
        } catch (error) {
          throw new Error(`after line ${moment}, seed ${seed}`, { cause: error });
        }
      }
    }
    const said = printed.split("\n").filter((text) => text.includes('"queued"'));
    assert.equal(said.length, 3, "the whole chat was recorded");
  },
});
