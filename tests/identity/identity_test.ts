/** Identities: a key is created once, stays the same and is never shown. */
import "reflect-metadata";
import {
  BasicConstraintsExtension,
  SubjectAlternativeNameExtension,
  X509Certificate as PeculiarCertificate,
} from "@peculiar/x509";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { basename, join } from "node:path";
import { GreetError } from "../../src/base/errors.ts";
import { fileNameOf } from "../../src/base/home.ts";
import {
  identitiesIn,
  newIdentity,
  openIdentity,
  spokenCode,
} from "../../src/identity/identity.ts";
import { hasOpenssl } from "../support/certificates.ts";
import { Bot } from "../support/bot.ts";
import { homeTest, temporaryHome } from "../support/home.ts";
import { freePorts } from "../support/ports.ts";
import { greetCommand, Program, run } from "../support/program.ts";
import { isPosix } from "../support/tools.ts";

/** Why a file cannot be used as a folder. */
const NO_FOLDER = isPosix ? "Not a directory" : "File exists";

const MODES = { what: "file modes", isThere: isPosix };
const OPENSSL = { what: "openssl", isThere: hasOpenssl };
const PROC = { what: "/proc", isThere: Deno.build.os === "linux" };

/** The files of an identity. */
function filesOf(home: string, name: string): { key: string; cert: string } {
  const path = join(home, "identities", fileNameOf(name));
  return { key: `${path}.key`, cert: `${path}.pem` };
}

/** The contents of all files, by name. */
function contents(home: string): Record<string, string> {
  const folder = join(home, "identities");
  const files = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  return Object.fromEntries(files.map((file) => [file, Deno.readTextFileSync(join(folder, file))]));
}

function modeOf(path: string): string {
  return (Deno.statSync(path).mode! & 0o777).toString(8);
}

/** Checks that a text contains no part of a private key, however it is wrapped. */
function assertContainsNone(pem: string, text: string): void {
  const body = pem.replaceAll(/-----[^-]*-----|\s/g, "");
  assert(body.length > 100, "not a key");
  const hex = Buffer.from(body, "base64").toString("hex");
  const shown = text.replaceAll(/\s|\\n/g, "");
  for (const [written, length] of [[body, 20], [hex, 40]] as const) {
    for (let i = 0; i + length <= written.length; i++) {
      const piece = written.slice(i, i + length);
      assert(!shown.includes(piece), `characters ${i} to ${i + length} of the key are in the text`);
    }
  }
}

/** Checks that a promise is rejected with a sentence and a hint that do not quote the key. */
async function refusalOf(
  promise: Promise<unknown>,
  pem: string,
): Promise<{ message: string; hint: string }> {
  const error = await promise.then(() => assert.fail("it was accepted"), (error) => error);
  assert(error instanceof GreetError, String(error));
  assert.equal(error.code, "FAILED");
  assert.doesNotMatch(error.message, /\n|\.$|\. |os error/);
  const { message, hint = "" } = error;
  assert.match(hint, /\w/);
  // Inspecting it also shows the stack and every cause.
  const inspected = Deno.inspect(error, { depth: 20, strAbbreviateSize: Infinity });
  for (const text of [inspected, error.stack ?? "", JSON.stringify(error), hint]) {
    assertContainsNone(pem, text);
  }
  return { message, hint };
}

// ---------------------------------------------------------------- creating and storing

homeTest(
  "an identity is created at its first use, and stays the same",
  async (home) => {
    assert.deepEqual(identitiesIn(home), []);
    const made = await openIdentity(home, "Alice");
    assert.equal(made.name, "Alice");
    assert.match(made.fingerprint, /^SHA256:[A-Za-z0-9+/]{43}$/);
    const files = contents(home);
    assert.deepEqual(await openIdentity(home, "Alice"), made);
    assert.deepEqual(contents(home), files);
    const { key, cert } = filesOf(home, "Alice");
    assert.deepEqual(Object.keys(files), [key, cert].map((path) => basename(path)));
    for (const [shown, file] of [[made.key, key], [made.cert, cert]] as const) {
      assert.equal(new TextDecoder().decode(shown), Deno.readTextFileSync(file));
    }
  },
);

homeTest(
  "only the owner can access the folder and the files, whatever the umask",
  async (home) => {
    await openIdentity(home, "Alice");
    const open = ["sh", "-c", 'umask 0 && exec "$@"', "sh", ...greetCommand()];
    await using program = new Program([...open, "id", "Bob"], { env: { GREET_HOME: home } });
    assert.equal(await program.code(), 0, program.err.text);
    await using wide = new Program([...open, "id", "Bob", "--home", join(home, "wide")]);
    assert.equal(await wide.code(), 0, wide.err.text);
    for (const folder of [home, join(home, "wide")]) {
      assert.equal(modeOf(folder), "700");
      assert.equal(modeOf(join(folder, "identities")), "700");
      for (const file of Deno.readDirSync(join(folder, "identities"))) {
        assert.equal(modeOf(join(folder, "identities", file.name)), "600", file.name);
      }
    }
  },
  MODES,
);

homeTest("an identity is created where there are no hard links", async (home) => {
  const { linkSync } = Deno;
  Deno.linkSync = () => {
    throw new Error("Operation not permitted (os error 1)");
  };
  try {
    const made = await openIdentity(home, "Alice");
    assert.deepEqual(await openIdentity(home, "Alice"), made);
  } finally {
    Deno.linkSync = linkSync;
  }
  const { key, cert } = filesOf(home, "Alice");
  assert.deepEqual(Object.keys(contents(home)), [basename(key), basename(cert)]);
});

/** A program that opens the identity of each name that it reads. */
const OPENER = `
  import { createInterface } from "node:readline";
  import { newIdentity, openIdentity } from "${
  import.meta.resolve("../../src/identity/identity.ts")
}";
  // Loads all modules before the test begins.
  await newIdentity("warm-up");
  console.log("ready");
  for await (const name of createInterface({ input: process.stdin })) {
    console.log(name, (await openIdentity(Deno.args[0], name)).fingerprint);
  }
`;

homeTest(
  "processes that create the same identity at the same moment share one key",
  async (home) => {
    const command = [Deno.execPath(), "eval", "--ext=ts", OPENER, "--", home];
    await using stack = new AsyncDisposableStack();
    const programs = Array.from({ length: 5 }, () => stack.use(new Program(command)));
    await Promise.all(programs.map(({ out }) => out.until("ready\n")));
    const names = Array.from({ length: 12 }, (_, i) => `Alice ${i}`);
    for (const name of names) {
      // Not awaited, so that they start as close together as possible.
      for (const program of programs) void program.write(`${name}\n`);
      await Promise.all(programs.map(({ out }) => out.until(new RegExp(`^${name} .+\n`, "m"))));
    }
    await Promise.all(programs.map((program) => program.end()));
    for (const program of programs) assert.equal(await program.code(), 0, program.err.text);
    const [first, ...others] = programs.map(({ out }) => out.text);
    for (const other of others) assert.equal(other, first);
    const kept = Object.keys(contents(home));
    assert.equal(kept.length, 2 * names.length);
    assert.deepEqual(kept.filter((file) => !/\.(key|pem)$/.test(file)), []);
    const kinds = identitiesIn(home).map(({ name, fingerprint }) => `${name} ${fingerprint}\n`);
    assert.equal(
      ["ready\n", ...names.map((name) => kinds.find((k) => k.startsWith(`${name} `)))]
        .join(""),
      first,
    );
  },
);

homeTest("running greet id five times at once creates one identity", async (home) => {
  const all = await Promise.all(
    Array.from({ length: 5 }, () => run(["id", "Alice", "--json", "--home", home])),
  );
  for (const { code, out, err } of all) assert.deepEqual([code, err, out], [0, "", all[0].out]);
  assert.equal(JSON.parse(all[0].out).fingerprint, identitiesIn(home)[0].fingerprint);
  assert.deepEqual(Object.keys(contents(home)).map((file) => file.slice(-4)), [".key", ".pem"]);
});

homeTest(
  "each name has its own key, even if names differ only in case",
  async (home) => {
    const names = ["Alice", "alice", "ALICE", "Bob", "Bob ", " Bob"];
    const keys = await Promise.all(names.map((name) => openIdentity(home, name)));
    assert.equal(new Set(keys.map(({ fingerprint }) => fingerprint)).size, names.length);
    const again = await Promise.all(names.map((name) => openIdentity(home, name)));
    assert.deepEqual(again, keys);
  },
);

homeTest("the same name in another home has another key", async (home) => {
  const [one, other] = await Promise.all(
    ["a", "b"].map((folder) => openIdentity(join(home, folder), "Alice")),
  );
  assert.notEqual(one.fingerprint, other.fingerprint);
});

Deno.test("an identity that is not stored is a new one each time", async () => {
  const [one, other] = [await newIdentity("Alice"), await newIdentity("Alice")];
  assert.notEqual(one.fingerprint, other.fingerprint);
});

homeTest("a lost certificate is created again for the same key", async (home) => {
  const before = await openIdentity(home, "Alice");
  Deno.removeSync(filesOf(home, "Alice").cert);
  const after = await openIdentity(home, "Alice");
  assert.equal(after.fingerprint, before.fingerprint);
  assert.deepEqual(after.key, before.key);
  assert.notDeepEqual(after.cert, before.cert);
  assert.deepEqual(await openIdentity(home, "Alice"), after);
});

// ---------------------------------------------------------------- damaged files

/** Ways to damage the text of a file. */
const DAMAGES: Readonly<Record<string, (pem: string) => string>> = {
  "is empty": () => "",
  "has only white space": () => "\n\n",
  "is cut off": (pem) => pem.slice(0, pem.length / 2),
  "has lost its first line": (pem) => pem.replace(/.*\n/, ""),
  "has lost its last line": (pem) => pem.replace(/\n-----END.*/, ""),
  "has lost a line in the middle": (pem) => pem.replace(/\n.*(?=\n-----END)/, ""),
  "has another first character": (pem) => pem.replace(/\nM/, "\nA"),
  "has invalid characters": (pem) => pem.replace(/\n(?=.*\n-)/, "\n\u{1F480}#"),
  "has no header and footer": (pem) => pem.replaceAll(/-----.*-----\n/g, ""),
  "is binary": () => "\0\u0001-----BEGIN \uFFFD",
};

for (const [damage, change] of Object.entries(DAMAGES)) {
  homeTest(
    `a key that ${damage} is refused, not quoted, and left unchanged`,
    async (home) => {
      const before = await openIdentity(home, "Alice");
      const pem = new TextDecoder().decode(before.key);
      const { key, cert } = filesOf(home, "Alice");
      assert.notEqual(change(pem), pem);
      Deno.writeTextFileSync(key, change(pem));
      const damaged = contents(home);
      const error = await refusalOf(openIdentity(home, "Alice"), pem);
      assert(error.message.includes(key), error.message);
      assert(error.hint.includes(`remove it and ${cert} to get a new key`), error.hint);
      assert.deepEqual(contents(home), damaged);
      // If the certificate is missing too, none is created for a damaged key.
      Deno.removeSync(cert);
      const { message } = await refusalOf(openIdentity(home, "Alice"), pem);
      assert(message.endsWith(`in ${key} cannot be used: it is damaged`), message);
      assert.deepEqual(Object.keys(contents(home)), [`${fileNameOf("Alice")}.key`]);
      // Restoring a copy repairs it.
      Deno.writeTextFileSync(key, pem);
      assert.equal((await openIdentity(home, "Alice")).fingerprint, before.fingerprint);
    },
  );

  homeTest(`a certificate that ${damage} is refused and left unchanged`, async (home) => {
    const { key: bytes, fingerprint } = await openIdentity(home, "Alice");
    const { cert } = filesOf(home, "Alice");
    Deno.writeTextFileSync(cert, change(Deno.readTextFileSync(cert)));
    const damaged = contents(home);
    const { hint } = await refusalOf(openIdentity(home, "Alice"), new TextDecoder().decode(bytes));
    assert.deepEqual(contents(home), damaged);
    assert.match(hint, /or remove .* made again for the existing key/);
    assert(hint.includes(`remove ${cert}, `), hint);
    Deno.removeSync(cert);
    assert.equal((await openIdentity(home, "Alice")).fingerprint, fingerprint);
  });
}

homeTest("a certificate of another key is refused and left unchanged", async (home) => {
  const alice = await openIdentity(home, "Alice");
  await openIdentity(home, "Bob");
  const [ours, theirs] = [filesOf(home, "Alice"), filesOf(home, "Bob")];
  Deno.copyFileSync(theirs.cert, ours.cert);
  const files = contents(home);
  const error = await refusalOf(openIdentity(home, "Alice"), new TextDecoder().decode(alice.key));
  assert.match(error.message, /the private key in .* does not belong to /);
  assert(error.hint.includes(`remove ${ours.cert}, `), error.hint);
  assert.deepEqual(contents(home), files);
  Deno.removeSync(ours.cert);
  assert.equal((await openIdentity(home, "Alice")).fingerprint, alice.fingerprint);
});

homeTest(
  "a key of another kind gets no certificate, and the hint is to get a new key",
  async (home) => {
    await openIdentity(home, "Alice");
    const { key, cert } = filesOf(home, "Alice");
    const { privateKey } = generateKeyPairSync("ed25519");
    const pem = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
    Deno.writeTextFileSync(key, pem);
    Deno.removeSync(cert);
    await assert.rejects(openIdentity(home, "Alice"), {
      code: "FAILED",
      message: /cannot be used: it is damaged$/,
      hint: new RegExp(`remove it and ${cert} to get a new key`),
    });
    assert.deepEqual(Object.values(contents(home)), [pem]);
  },
);

for (const kind of ["key", "cert"] as const) {
  homeTest(`a ${kind === "key" ? kind : "certificate"} of megabytes is not read`, async (home) => {
    await openIdentity(home, "Alice");
    const file = filesOf(home, "Alice")[kind];
    Deno.writeTextFileSync(file, "x".repeat(1_000_001));
    await assert.rejects(openIdentity(home, "Alice"), {
      code: "FAILED",
      message: `the identity of Alice cannot be stored in ${file}: it is larger than 1 MB`,
      hint: /^move it away, or choose another folder/,
    });
  });
}

homeTest("a lost key is not replaced by a new one", async (home) => {
  await openIdentity(home, "Alice");
  const { key, cert } = filesOf(home, "Alice");
  const shown = Deno.readTextFileSync(cert);
  Deno.removeSync(key);
  for (let i = 0; i < 2; i++) {
    await assert.rejects(openIdentity(home, "Alice"), {
      code: "FAILED",
      message: /the private key in .* does not belong to /,
      hint: /restore it from a copy/,
    });
  }
  assert.equal(Deno.readTextFileSync(cert), shown);
});

homeTest(
  "a key that others can read is refused, and following the hint helps",
  async (home) => {
    const { fingerprint, key: bytes } = await openIdentity(home, "Alice");
    const pem = new TextDecoder().decode(bytes);
    const { key, cert } = filesOf(home, "Alice");
    const files = contents(home);
    for (const mode of [0o644, 0o640, 0o604, 0o660, 0o602, 0o777]) {
      Deno.chmodSync(key, mode);
      const { message, hint } = await refusalOf(openIdentity(home, "Alice"), pem);
      assert.equal(message, `other users can read the private key ${key}`);
      assert(hint.includes(`chmod 600 ${key}. `) && hint.includes(`remove it and ${cert} `), hint);
      assert.equal(modeOf(key), mode.toString(8));
    }
    assert.deepEqual(contents(home), files);
    for (const mode of [0o400, 0o600]) {
      Deno.chmodSync(key, mode);
      assert.equal((await openIdentity(home, "Alice")).fingerprint, fingerprint);
    }
    // Removing the files that the hint names gives a new key.
    Deno.chmodSync(key, 0o644);
    for (const file of [key, cert]) Deno.removeSync(file);
    assert.notEqual((await openIdentity(home, "Alice")).fingerprint, fingerprint);
  },
  MODES,
);

homeTest("a home that cannot be created is reported in one sentence", async (home) => {
  Deno.writeTextFileSync(home, "a file where the folder should be");
  for (const folder of [home, join(home, "below")]) {
    await assert.rejects(openIdentity(folder, "Alice"), {
      code: "FAILED",
      message: `the identity of Alice cannot be stored in ${filesOf(folder, "Alice").key}: ` +
        NO_FOLDER,
      hint: /--home DIR or GREET_HOME/,
    });
    // On Windows, there is just nothing below a file.
    if (!isPosix) assert.deepEqual(identitiesIn(folder), []);
    else {
      assert.throws(() => identitiesIn(folder), {
        code: "FAILED",
        message: `the identities in ${join(folder, "identities")} cannot be read`,
      });
    }
  }
  assert.equal(Deno.readTextFileSync(home), "a file where the folder should be");
});

Deno.test({
  name: "a missing read permission is reported as such, not as a damaged identity",
  permissions: { read: false, write: false },
  async fn() {
    await assert.rejects(openIdentity("/home", "Alice"), {
      code: "FAILED",
      message:
        /^the identity of Alice cannot be stored in .*\.key: read access to ".*" is not allowed$/,
    });
  },
});

homeTest("a folder in place of a file is reported", async (home) => {
  await openIdentity(home, "Alice");
  const { key, cert } = filesOf(home, "Alice");
  for (const file of [cert, key]) {
    Deno.removeSync(file);
    Deno.mkdirSync(file, { mode: 0o700 });
    await assert.rejects(openIdentity(home, "Alice"), {
      code: "FAILED",
      message: /: Is a directory$/,
    });
  }
});

homeTest("a key behind a broken link is not made somewhere else", async (home) => {
  await openIdentity(home, "Bob");
  const { key } = filesOf(home, "Alice");
  const away = join(home, "not mounted");
  Deno.symlinkSync(away, key);
  await assert.rejects(openIdentity(home, "Alice"), {
    code: "FAILED",
    message: `the identity of Alice cannot be stored in ${key}: it is a broken link`,
    hint: /^move it away, or choose another folder/,
  });
  assert.throws(() => Deno.lstatSync(away), Deno.errors.NotFound);
}, { what: "symbolic links", isThere: isPosix });

// ---------------------------------------------------------------- the certificate

async function output(command: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args }).output();
  assert(success, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

homeTest("openssl computes the same fingerprint", async (home) => {
  const { fingerprint } = await openIdentity(home, "Alice");
  const script = 'openssl x509 -noout -pubkey -in "$1" | openssl pkey -pubin -outform der | ' +
    "openssl dgst -sha256 -binary | base64";
  const base64 = await output("sh", "-c", script, "sh", filesOf(home, "Alice").cert);
  assert.equal(fingerprint, `SHA256:${base64.trim().replace(/=+$/, "")}`);
}, OPENSSL);

homeTest(
  "openssl sees a certificate that is no CA and does not expire",
  async (home) => {
    const { key, cert } = filesOf(home, "Zoë");
    await openIdentity(home, "Zoë");
    const show = ["x509", "-in", cert, "-noout"];
    const extensions = await output("openssl", ...show, "-ext", "basicConstraints,subjectAltName");
    assert.match(extensions, /Basic Constraints: critical\n\s*CA:FALSE\n/);
    assert.match(extensions, /\n\s*DNS:peer\.greet\.invalid\n/);
    const dates = await output("openssl", ...show, "-dates");
    assert.match(dates, /notAfter=Dec 31 23:59:59 9999 GMT/);
    const [, begin] = dates.match(/notBefore=(.*)/)!;
    // It begins a day ago, because the clock of another machine may be slow.
    const age = Date.now() - Date.parse(begin);
    assert(age > 23 * 3600_000 && age < 25 * 3600_000, begin);
    const subject = ["-subject", "-issuer", "-nameopt", "oneline,utf8,-esc_msb"];
    const names = await output("openssl", ...show, ...subject);
    assert.equal(names, "subject=CN = Zoë\nissuer=CN = Zoë\n");
    const text = await output("openssl", "x509", "-in", cert, "-noout", "-text");
    assert.match(text, /Signature Algorithm: ecdsa-with-SHA256/);
    assert.match(text, /NIST CURVE: P-256/);
    await output("openssl", "pkey", "-in", key, "-check", "-noout");
  },
  OPENSSL,
);

Deno.test("a certificate is self-signed, and each has its own serial number", async () => {
  const { cert } = await newIdentity("Alice");
  const certificate = new X509Certificate(Buffer.from(cert));
  assert(certificate.verify(certificate.publicKey));
  const other = new X509Certificate(Buffer.from((await newIdentity("Alice")).cert));
  assert(!certificate.verify(other.publicKey));
  assert.notEqual(certificate.serialNumber, other.serialNumber);
});

Deno.test("a certificate is no CA, is for peers only, and is valid from a day ago until the end of time", async () => {
  const before = Date.now();
  const pem = new TextDecoder().decode((await newIdentity("Alice")).cert);
  const certificate = new PeculiarCertificate(pem);
  const constraints = certificate.getExtension(BasicConstraintsExtension)!;
  assert.deepEqual([constraints.ca, constraints.critical], [false, true]);
  const names = certificate.getExtension(SubjectAlternativeNameExtension)!.names.toJSON();
  assert.deepEqual(names, [{ type: "dns", value: "peer.greet.invalid" }]);
  const age = before - certificate.notBefore.getTime();
  // The clock of another machine may be slow. Certificates have no fractions of a second.
  assert(Math.abs(age - 24 * 3600_000) < 60_000, `${age} ms`);
  assert.equal(certificate.notAfter.toISOString(), "9999-12-31T23:59:59.000Z");
});

/** Valid names with a special meaning to parsers of X.509 names. */
const NAMES = [
  "Alice",
  "x".repeat(64),
  "漢".repeat(64),
  "😀".repeat(64),
  "Alice, Bob",
  "CN=Bob",
  "Alice, CN=Bob",
  "Alice + CN=Bob",
  "a=b",
  '"Alice"',
  '""',
  'Alice "the fox" Fox',
  `it's`,
  "back\\slash",
  "comma\\, comma",
  "\\",
  "\\2C",
  "\\0a",
  "#Alice",
  "#041f",
  "<Alice>; Bob",
  "*.example.org",
  "1.2.3.4",
  "👩‍🚀 astro",
  "محمد علي",
  "می‌خواهم",
  "Ελένη",
  "Zoë",
  "ａｂｃ",
];

homeTest("every name is listed unchanged, in order", async (home) => {
  const identities = await Promise.all(NAMES.map((name) => openIdentity(home, name)));
  const order = (a: { name: string }, b: { name: string }) => a.name < b.name ? -1 : 1;
  const expected = identities.map(({ name, fingerprint }) => ({ name, fingerprint })).sort(order);
  assert.deepEqual(identitiesIn(home), expected);
  assert.equal(new Set(expected.map(({ fingerprint }) => fingerprint)).size, NAMES.length);
});

// ---------------------------------------------------------------- the spoken code

Deno.test("the spoken code of a fingerprint does not change between versions", () => {
  const code = "13597 87498 20519 83306 72459 16604";
  assert.equal(spokenCode("SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"), code);
  // Leading zeros must be kept.
  const zeros = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA394";
  assert.equal(spokenCode(zeros), "00002 62257 13142 61339 10069 50037");
});

Deno.test("each fingerprint has its own code of six groups of five digits", () => {
  const codes = Array.from({ length: 2_000 }, (_, i) => {
    const fingerprint = `SHA256:${`${i}`.padStart(43, "A")}`;
    assert.equal(spokenCode(fingerprint), spokenCode(fingerprint));
    return spokenCode(fingerprint);
  });
  for (const code of codes) assert.match(code, /^\d{5}( \d{5}){5}$/);
  // Every group varies between codes.
  for (let group = 0; group < 6; group++) {
    const values = new Set(codes.map((code) => code.split(" ")[group]));
    assert(values.size > 1_900, `${values.size} of 2000`);
  }
  assert.equal(new Set(codes).size, codes.length);
});

// ---------------------------------------------------------------- greet id

function text(name: string, fingerprint: string): string {
  return `${name}\n  fingerprint  ${fingerprint}\n  code         ${spokenCode(fingerprint)}\n`;
}

Deno.test("greet id shows an identity, and creates it if necessary", async () => {
  await using home = temporaryHome();
  const first = await run(["id", "Zoë"], home);
  const [{ name, fingerprint }] = identitiesIn(home.env.GREET_HOME);
  assert.equal(name, "Zoë");
  assert.deepEqual(first, { code: 0, out: text("Zoë", fingerprint), err: "" });
  // The name may be typed with white space around it, and in another normalization form.
  const again = await run(["id", " Zoe\u0308 ", "--json"], home);
  assert.equal(again.code, 0);
  assert.deepEqual(JSON.parse(again.out), {
    type: "identity",
    name: "Zoë",
    fingerprint,
    code: spokenCode(fingerprint),
  });
  assert.equal(identitiesIn(home.env.GREET_HOME).length, 1);
});

Deno.test("greet id without a name lists all identities, in order", async () => {
  await using home = temporaryHome();
  for (const name of ["Carol", "Alice", "Bob"]) await openIdentity(home.env.GREET_HOME, name);
  const all = identitiesIn(home.env.GREET_HOME);
  assert.deepEqual(all.map(({ name }) => name), ["Alice", "Bob", "Carol"]);
  const { code, out, err } = await run(["id"], home);
  const expected = all.map(({ name, fingerprint }) => text(name, fingerprint)).join("");
  assert.deepEqual([code, out, err], [0, expected, ""]);
  const json = await run(["id", "--json"], home);
  const lines = json.out.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.map(({ name, fingerprint }) => ({ name, fingerprint })), all);
});

Deno.test("greet id without a name explains how to create the first identity, and creates none", async () => {
  await using home = temporaryHome();
  const { code, out, err } = await run(["id"], home);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(
    err,
    /^greet: error: there is no identity in .* yet\ngreet: hint: .*\bgreet id NAME/,
  );
  assert.deepEqual([...Deno.readDirSync(home.env.GREET_HOME)], []);
});

Deno.test("greet id refuses invalid names, and more than one name", async () => {
  await using home = temporaryHome();
  const wrong = [["a/b"], [""], ["x".repeat(65)], ["a\u202Eb"], ["Alice", "Bob"]];
  for (const names of wrong) {
    const { code, out, err } = await run(["id", ...names], home);
    assert.deepEqual([code, out], [2, ""], err);
    assert.match(err, /^greet: error: .*\ngreet: hint: .*\n$/);
  }
  assert.deepEqual([...Deno.readDirSync(home.env.GREET_HOME)], []);
});

homeTest("greet id --home uses no other folder", async (folder) => {
  await using home = temporaryHome();
  assert.equal((await run(["id", "Alice", "--home", folder], home)).code, 0);
  assert.deepEqual([...Deno.readDirSync(home.env.GREET_HOME)], []);
  const { out } = await run(["id", "--home", folder, "--json"], home);
  assert.equal(JSON.parse(out).fingerprint, identitiesIn(folder)[0].fingerprint);
  assert.equal((await run(["id"], home)).code, 1);
});

homeTest(
  "greet id reports an error in one line, and a hint in another",
  async (home) => {
    Deno.writeTextFileSync(home, "");
    const { code, out, err } = await run(["id", "Alice", "--home", home]);
    assert.deepEqual([code, out], [1, ""]);
    assert.match(
      err,
      /^greet: error: .* cannot be stored in .*: (Not a directory|File exists)\ngreet: hint: .*\n$/,
    );
  },
);

Deno.test("greet id never shows the private key, even if it fails", async () => {
  await using home = temporaryHome();
  const { key: file, cert } = filesOf(home.env.GREET_HOME, "Alice");
  const made = await run(["id", "Alice"], home);
  const pem = Deno.readTextFileSync(file);
  const shown = [made];
  for (const args of [["id"], ["id", "Alice", "--json"]]) shown.push(await run(args, home));
  assert(shown.every(({ code }) => code === 0));
  const failed = [];
  Deno.removeSync(cert);
  for (const damage of ["is cut off", "has lost its first line", "has another first character"]) {
    Deno.writeTextFileSync(file, DAMAGES[damage](pem));
    failed.push(await run(["id", "Alice"], home));
  }
  assert(failed.every(({ code, out }) => code === 1 && out === ""));
  for (const { out, err } of [...shown, ...failed]) assertContainsNone(pem, out + err);
});

Deno.test({
  name:
    `the private key is not in the arguments, environment or output of a chat (needs ${PROC.what})`,
  ignore: !PROC.isThere,
  fn: async () => {
    await using home = temporaryHome();
    const [ours, theirs] = freePorts();
    await using alice = new Bot(["Alice", ours, theirs, "--tls"], home);
    await using bob = new Bot(["Bob", theirs, ours, "--tls"], home);
    // Now the keys are in use.
    await bob.say("hello");
    await alice.until("message");
    const keys = ["Alice", "Bob"].map((name) =>
      Deno.readTextFileSync(filesOf(home.env.GREET_HOME, name).key)
    );
    for (const { program } of [alice, bob]) {
      const [args, env] = ["cmdline", "environ"].map((what) =>
        Deno.readTextFileSync(`/proc/${program.pid}/${what}`)
      );
      assert(args.includes("--tls") && env.includes(`GREET_HOME=${home.env.GREET_HOME}`));
      program.kill("SIGTERM");
      await program.code();
      for (const shown of [args, env, program.out.text, program.err.text]) {
        for (const key of keys) assertContainsNone(key, shown);
      }
    }
  },
});
