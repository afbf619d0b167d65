/** Which peers are accepted at a target. */
import assert from "node:assert/strict";
import { KnownPeers } from "../../src/identity/known_peers.ts";
import type { Contact } from "../../src/peer/contact.ts";
import { EventFeed } from "../../src/peer/event_feed.ts";
import { Gatekeeper, SamePeer } from "../../src/peer/gatekeeper.ts";
import { temporaryHome } from "../support/home.ts";
import { parseTarget } from "../../src/net/address.ts";

const [A, B] = ["127.0.0.1:1", "127.0.0.1:2"];

/** Two keys, both of which Alice accepts for Bob. */
const KEYS = ["A", "B"].map((letter) => `SHA256:${letter.repeat(42)}A`);

/** Calls a function with Alice's gatekeeper, who sees Bob with his first key at the first target. */
async function withGatekeeper(
  run: (check: (name: string, fingerprint: string, expected?: string) => void) => void,
): Promise<void> {
  await using home = temporaryHome();
  const folder = home.env.GREET_HOME;
  await Deno.writeTextFile(`${folder}/known_peers`, KEYS.map((key) => `${key} Bob\n`).join(""), {
    mode: 0o600,
  });
  const met = { name: "Bob", fingerprint: KEYS[0] };
  const contact = { link: { address: A, name: "Bob", met } } as unknown as Contact;
  const gatekeeper = new Gatekeeper({
    ...{ name: "Alice", instance: "", isEncrypted: true, policy: "admit" },
    known: KnownPeers.in(folder),
    contacts: [contact],
    events: new EventFeed(),
  });
  run((name, fingerprint, expected) => {
    const whereabouts = parseTarget(B);
    gatekeeper.check({ name, fingerprint }, whereabouts, {
      ...{ address: B, whereabouts, name: expected },
    });
  });
}

Deno.test("one key at two targets is one peer, and two keys are two, even if both are known", () =>
  withGatekeeper((check) => {
    assert.throws(() => check("Bob", KEYS[0]), SamePeer);
    assert.throws(() => check("Bob", KEYS[1]), {
      name: "GreetError",
      message: /also the name of the peer at 127\.0\.0\.1:1$/,
    });
  }));

Deno.test("a peer with a wrong name is refused with a code that says that it may be right later", () =>
  withGatekeeper((check) => {
    for (const [name, expected] of [["Dave", "Carol"], ["a\nb"], ["Alice"]]) {
      assert.throws(() => check(name, `SHA256:${"C".repeat(42)}A`, expected), {
        code: "FAILED_PRECONDITION",
      });
    }
  }));
