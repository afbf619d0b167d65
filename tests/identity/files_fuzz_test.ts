/** Files of keys and peers that were damaged or edited badly: nothing false is believed. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { join } from "node:path";
import { fromDer, inspectCertificate, pemOf, readKeyPair } from "../../src/net/certificates.ts";
import { fileNameOf } from "../../src/base/home.ts";
import { openIdentity } from "../../src/identity/identity.ts";
import { KnownPeers } from "../../src/identity/known_peers.ts";
import { GreetError } from "../../src/base/errors.ts";
import { damaged, damages, oneSentence, propertyTest, texts } from "../support/properties.ts";

/** Calls a function with a folder that exists only for it. */
async function inFolder(use: (folder: string) => void | Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "greet-test-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const key = (letter: string) => `SHA256:${letter.repeat(43)}`;
const [BOB, CAROL] = [{ name: "Bob", fingerprint: key("B") }, {
  name: "Carol",
  fingerprint: key("C"),
}];
const LINES = `${BOB.fingerprint} ${BOB.name}\n${CAROL.fingerprint} ${CAROL.name}\n`;

propertyTest(
  "known_peers of any text is refused in one sentence, or keeps its lines when a peer is added",
  texts(...[
    "# note",
    "\n",
    "\r\n",
    " ",
    "\t",
    key("A"),
    "Alice",
    "\ufeff",
    "\0",
    LINES,
    "SHA256:",
  ]),
  (text) =>
    inFolder((home) => {
      const file = join(home, "known_peers");
      Deno.writeTextFileSync(file, text, { mode: 0o600 });
      const written = Deno.readTextFileSync(file);
      const known = oneSentence(() => KnownPeers.in(home));
      if (known === undefined) return;
      const before = known.peers;
      known.remember({ name: "Dave", fingerprint: key("D") });
      assert(Deno.readTextFileSync(file).startsWith(written), "the lines that were there");
      assert.deepEqual(KnownPeers.in(home).peers.slice(0, before.length), before);
    }),
  300,
);

propertyTest(
  "damaged known_peers give a name no key that is not in the file",
  damages,
  (damage) =>
    inFolder((home) => {
      const bytes = damaged(new TextEncoder().encode(LINES), damage);
      Deno.writeFileSync(join(home, "known_peers"), bytes, { mode: 0o600 });
      const known = oneSentence(() => KnownPeers.in(home));
      const text = new TextDecoder().decode(bytes);
      for (const { fingerprint, name } of known?.peers ?? []) {
        assert(text.includes(`${fingerprint} ${name}`), `${fingerprint} ${name}`);
      }
    }),
  300,
);

const original = await Deno.makeTempDir({ prefix: "greet-test-" });
const identity = await openIdentity(original, "Alice");
const certificate = fromDer(
  new Uint8Array(
    atob(new TextDecoder().decode(identity.cert).replaceAll(/-----[^-]+-----|\s/g, ""))
      .split("").map((character) => character.charCodeAt(0)),
  ),
).raw;
await Deno.remove(original, { recursive: true });

propertyTest(
  "a damaged key or certificate is refused in one sentence without the key, or is the same key",
  fc.tuple(damages, fc.boolean()),
  ([damage, isKey]) =>
    inFolder(async (home) => {
      const base = join(home, "identities", fileNameOf("Alice"));
      await Deno.mkdir(join(home, "identities"), { mode: 0o700 });
      const key = isKey ? damaged(identity.key, damage) : identity.key;
      const cert = isKey ? identity.cert : damaged(identity.cert, damage);
      await Deno.writeFile(`${base}.key`, key, { mode: 0o600 });
      await Deno.writeFile(`${base}.pem`, cert, { mode: 0o600 });
      try {
        const { fingerprint } = await openIdentity(home, "Alice");
        assert.equal(fingerprint, identity.fingerprint);
      } catch (error) {
        assert(error instanceof GreetError, String(error));
        assert.equal(error.code, "FAILED");
        const secret = new TextDecoder().decode(identity.key).split("\n")[1];
        assert(!`${error.message} ${error.hint}`.includes(secret.slice(0, 16)));
      }
    }),
  300,
);

propertyTest(
  "a damaged certificate of a peer is refused, or has the same key",
  damages,
  (damage) => {
    const inspection = inspectCertificate(damaged(certificate, damage));
    if ("problem" in inspection) {
      assert.doesNotMatch(inspection.problem, /\n|error/i);
    }
  },
  2_000,
);

propertyTest(
  "a damaged certificate file is refused in one sentence, or read",
  damages,
  (damage) =>
    inFolder((folder) => {
      const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")];
      Deno.writeTextFileSync(cert, pemOf("CERTIFICATE", damaged(certificate, damage)));
      Deno.writeFileSync(key, identity.key);
      oneSentence(() => readKeyPair(cert, key));
    }),
  500,
);
