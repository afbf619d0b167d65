/** TLS of servers and clients: which combinations work, and what both sides report otherwise. */
import assert from "node:assert/strict";
import net from "node:net";
import tls from "node:tls";
import { greet, serveGreeter } from "../../mod.ts";
import { readKeyPair, readPem } from "../../src/net/certificates.ts";
import { isLoopback } from "../../src/net/address.ts";
import { Authority, hasOpenssl } from "../support/certificates.ts";
import { Bot } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { Program, ROOT, run } from "../support/program.ts";
import { outputOf } from "../support/tools.ts";
import { inTime } from "../support/waiting.ts";

function tlsTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name} (needs openssl)`, ignore: !hasOpenssl, fn });
}

/** A running `greet serve` and its port. */
async function serving(...args: string[]) {
  const server = Program.greet(["serve", "0", ...args]);
  const [, port] = await server.out.until(/listening on (\d+)\n/);
  return { server, port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
}

const GREETED = "Hello, Bob.";
const PLAIN_TO_TLS = /the other side speaks TLS, and this side does not\n.*hint/;
const TLS_TO_PLAIN = /the other side does not speak TLS, and this side does\n.*hint/;
const UNTRUSTED = /the certificate is not trusted\n.*hint: --cacert/;
const EXPIRED = /the certificate has expired\n/;
const REPORTED = {
  plaintext: ["greet: error: a caller speaks TLS, and this side does not"],
  TLS: [
    "greet: error: a caller does not speak TLS, and this side does",
    "greet: error: a caller does not trust this server's certificate",
  ],
  "expired TLS": [
    "greet: error: a caller does not speak TLS, and this side does",
    "greet: error: a caller says that this server's certificate has expired",
  ],
  "mutual TLS": [
    "greet: error: a caller does not speak TLS, and this side does",
    "greet: error: a caller does not trust this server's certificate",
    "greet: error: a caller shows a certificate that is not accepted: it has expired",
    "greet: error: a caller shows a certificate that is not accepted: it is from a CA not in --client-ca",
    "greet: error: a caller shows no certificate, and this server requires one",
  ],
};
const EITHER = /the certificate (has expired|is not trusted)\n/;
const WANTS_ONE = /requires a certificate\n.*hint: show one with --cert and --key/;
const NOT_ACCEPTED = /the other side does not accept our certificate\n.*hint: .* the CA/;
const EXPIRED_OWN = /the other side does not accept our certificate, which has expired\n/;

tlsTest("every combination of a server and a client has the expected result", async () => {
  await using ours = await Authority.create("ours");
  await using theirs = await Authority.create("theirs");
  const [good, old, mine, late, stranger] = await Promise.all([
    ours.issue("good"),
    ours.issue("old", -1),
    ours.issue("mine"),
    ours.issue("late", -1),
    theirs.issue("stranger"),
  ]);
  const show = ({ cert, key }: { cert: string; key: string }) => ["--cert", cert, "--key", key];
  const servers = {
    plaintext: [],
    TLS: show(good),
    "expired TLS": show(old),
    "mutual TLS": [...show(good), "--client-ca", ours.cert],
  };
  const trusting = ["--cacert", ours.cert];
  const clients = {
    plaintext: [],
    "system's trust": ["--tls"],
    trusting,
    "trusting others": ["--cacert", theirs.cert],
    insecure: ["--insecure"],
    "with a certificate": [...trusting, ...show(mine)],
    "with an expired one": [...trusting, ...show(late)],
    "with a stranger's": [...trusting, ...show(stranger)],
  };
  const expected: Record<keyof typeof servers, Record<keyof typeof clients, string | RegExp>> = {
    plaintext: {
      plaintext: GREETED,
      "system's trust": TLS_TO_PLAIN,
      trusting: TLS_TO_PLAIN,
      "trusting others": TLS_TO_PLAIN,
      insecure: TLS_TO_PLAIN,
      "with a certificate": TLS_TO_PLAIN,
      "with an expired one": TLS_TO_PLAIN,
      "with a stranger's": TLS_TO_PLAIN,
    },
    TLS: {
      plaintext: PLAIN_TO_TLS,
      "system's trust": UNTRUSTED,
      trusting: GREETED,
      "trusting others": UNTRUSTED,
      insecure: GREETED,
      "with a certificate": GREETED,
      "with an expired one": GREETED,
      "with a stranger's": GREETED,
    },
    "expired TLS": {
      plaintext: PLAIN_TO_TLS,
      "system's trust": EITHER,
      trusting: EXPIRED,
      "trusting others": EITHER,
      insecure: GREETED,
      "with a certificate": EXPIRED,
      "with an expired one": EXPIRED,
      "with a stranger's": EXPIRED,
    },
    "mutual TLS": {
      plaintext: PLAIN_TO_TLS,
      "system's trust": UNTRUSTED,
      trusting: WANTS_ONE,
      "trusting others": UNTRUSTED,
      insecure: WANTS_ONE,
      "with a certificate": GREETED,
      "with an expired one": EXPIRED_OWN,
      "with a stranger's": NOT_ACCEPTED,
    },
  };
  for (const [server, serverArgs] of Object.entries(servers)) {
    await using target = await serving(...serverArgs);
    for (const [client, clientArgs] of Object.entries(clients)) {
      const what = `${client} to ${server}`;
      const { code, out, err } = await run(["greet", target.port, "Bob", ...clientArgs, "--quiet"]);
      const wanted = expected[server as keyof typeof servers][client as keyof typeof clients];
      if (typeof wanted === "string") {
        assert.deepEqual([code, err], [0, ""], what);
        assert(out.includes(wanted), what);
      } else {
        assert.deepEqual([code, out], [64 + 14, ""], `${what}: ${err}`);
        assert.match(err, wanted, what);
      }
    }
    const greeted = Object.values(expected[server as keyof typeof servers])
      .filter((wanted) => wanted === GREETED).length;
    await target.server.stop();
    assert.equal(target.server.out.text.match(/Received request/g)?.length ?? 0, greeted, server);
    // The server also reports what its callers have to change, each kind once.
    const reported = target.server.err.text.split("\n")
      .filter((line) => line.startsWith("greet: error"));
    assert.deepEqual(
      reported.sort(),
      REPORTED[server as keyof typeof REPORTED],
      server,
    );
  }
});

tlsTest(
  "a client certificate that a server does not accept is explained on both sides",
  async () => {
    await using ours = await Authority.create("ours");
    await using theirs = await Authority.create("theirs");
    const server = await ours.issue("server");
    const cases = [
      [await ours.issue("late", -1), ", which has expired", "it has expired"],
      [await theirs.issue("stranger"), "", "it is from a CA not in --client-ca"],
      [
        await ours.issue("other use", 1, undefined, { usage: "serverAuth" }),
        ", which is not for clients",
        "it is not for clients",
      ],
      [{ cert: theirs.cert, key: theirs.key }, "", "it is self-signed"],
    ] as const;
    for (const [{ cert, key }, told, reported] of cases) {
      await using target = await serving(
        ...["--cert", server.cert, "--key", server.key, "--client-ca", ours.cert],
      );
      const shown = ["--cacert", ours.cert, "--cert", cert, "--key", key, "--quiet"];
      const { code, err } = await run(["greet", target.port, "Bob", ...shown]);
      assert.equal(code, 78);
      assert(err.includes(`the other side does not accept our certificate${told}\n`), err);
      assert.match(err, /hint: /);
      await target.server.err.until(
        `greet: error: a caller shows a certificate that is not accepted: ${reported}\n`,
      );
    }
  },
);

tlsTest("X.509 v1 is named, and the recipe in the documentation is accepted", async () => {
  await using authority = await Authority.create();
  const { cert, key } = await authority.issue("server");
  const secure = ["--cert", cert, "--key", key, "--client-ca", authority.cert];
  await using target = await serving(...secure);
  const show = (cert: string, key: string) =>
    run(["greet", target.port, "Bob", "--cacert", authority.cert, "--cert", cert, "--key", key]);
  const plain = await authority.issue("plain", 1, undefined, { copies: false });
  const isV1 = (await outputOf("openssl", "x509", "-in", plain.cert, "-noout", "-text"))!
    .includes("Version: 1 ");
  if (isV1) {
    const { err } = await show(plain.cert, plain.key);
    assert.match(err, /does not accept our certificate, which is X\.509 v1\n.*hint: .*-extfile/);
    await target.server.err.until("shows a certificate that is not accepted: it is X.509 v1\n");
  }
  const guide = await Deno.readTextFile(`${ROOT}docs/security.md`);
  const [, recipe] = /## Client certificates\n[^]*?```sh\n([^]*?)```/.exec(guide)!;
  await Deno.copyFile(authority.cert, `${authority.folder}/ca.pem`);
  await Deno.copyFile(authority.key, `${authority.folder}/ca.key`);
  await new Deno.Command("sh", { args: ["-ec", recipe], cwd: authority.folder }).output();
  const { code, out } = await show(
    `${authority.folder}/client.pem`,
    `${authority.folder}/client.key`,
  );
  assert.equal(code, 0);
  assert.match(out, /Hello, Bob\./);
});

tlsTest("a chat that uses TLS accepts only callers with a valid certificate", async () => {
  await using authority = await Authority.create();
  const [good, late] = await Promise.all([
    authority.issue("good"),
    authority.issue("late", -1),
  ]);
  const show = ({ cert, key }: { cert: string; key: string }) => ["--cert", cert, "--key", key];
  // A caller that is let in finds that a chat has no greeter.
  const IN =
    /the other side speaks gRPC, but has no greet\.v1\.Greeter\/Greet\n.*hint: is it the right port/;
  const clients: Record<string, { args: string[]; plain: RegExp; secure: RegExp }> = {
    plaintext: { args: [], plain: IN, secure: PLAIN_TO_TLS },
    "TLS, no certificate": {
      args: ["--insecure"],
      plain: TLS_TO_PLAIN,
      secure: WANTS_ONE,
    },
    "a certificate of its own": {
      args: ["--insecure", ...show(good)],
      plain: TLS_TO_PLAIN,
      secure: IN,
    },
    "one that has expired": {
      args: ["--insecure", ...show(late)],
      plain: TLS_TO_PLAIN,
      secure: EXPIRED_OWN,
    },
    "TLS, and trust in others": {
      args: ["--cacert", authority.cert],
      plain: TLS_TO_PLAIN,
      secure: UNTRUSTED,
    },
  };
  const told = {
    plain: ["a caller speaks TLS, and this side does not"],
    secure: [
      "a caller at 127.0.0.1 shows a certificate that has expired",
      "a caller at 127.0.0.1 shows no certificate",
      "a caller does not speak TLS, and this side does",
      "a caller does not trust this server's certificate",
    ],
  };
  for (const kind of ["plain", "secure"] as const) {
    const [nobody] = freePorts();
    await using chat = new Bot(["Alice", "0", nobody, ...kind === "secure" ? ["--tls"] : []]);
    const [{ port }] = await chat.until("listening");
    for (const [client, { args, [kind]: wanted }] of Object.entries(clients)) {
      const { out, err } = await run(["greet", `${port}`, "Bob", "--quiet", ...args]);
      assert.equal(out, "");
      assert.match(err, wanted, `${client} to ${kind}: ${err}`);
    }
    const messages = (await chat.until("error", told[kind].length)).map(({ message }) => message);
    assert.deepEqual(messages.sort(), told[kind]);
  }
});

tlsTest(
  "a chat does not talk to a peer with an expired certificate, whatever its key",
  async () => {
    await using authority = await Authority.create();
    const late = await authority.issue("late", -1);
    await using server = await serving("--cert", late.cert, "--key", late.key);
    await using chat = new Bot(["Alice", "0", server.port, "--tls"]);
    const [{ message }] = await chat.until("error");
    assert.match(`${message}`, /: the other side shows a certificate that has expired$/);
  },
);

tlsTest(
  "a renewed certificate is used without a restart; a broken one is not",
  async () => {
    await using first = await Authority.create("first");
    await using second = await Authority.create("second");
    const [files, renewed] = await Promise.all([first.issue("server"), second.issue("server")]);
    await using target = await serving("--cert", files.cert, "--key", files.key);
    const trusting = (authority: Authority) =>
      run(["greet", target.port, "Bob", "--cacert", authority.cert, "--quiet"]);
    /** Greets until the exit code is as expected: files are checked at most once a second. */
    const until = async (authority: Authority, code: number) => {
      const asked = async () => {
        while ((await trusting(authority)).code !== code);
      };
      await inTime(asked(), `code ${code}`);
    };
    await until(first, 0);
    await until(second, 78);
    // The new certificate does not belong to the old key, so the server keeps the old one.
    await Deno.copyFile(renewed.cert, files.cert);
    const broken =
      `greet: error: the private key in ${files.key} does not belong to ${files.cert}\n`;
    const said = (async () => {
      for (;;) {
        await trusting(first);
        if (target.server.err.text.includes(broken)) return;
      }
    })();
    await inTime(said, "a report of the broken files");
    assert.equal((await trusting(first)).code, 0);
    await Deno.copyFile(renewed.key, files.key);
    await until(second, 0);
    assert.equal((await trusting(first)).code, 78);
  },
);

tlsTest(
  "clients that do not finish a handshake are disconnected, and do not block others",
  async () => {
    await using authority = await Authority.create();
    const files = await authority.issue("server");
    await using server = await serveGreeter({ tls: files });
    const secure = { trusted: readPem(authority.cert, "certificate") };
    let closed = 0;
    const all = Promise.withResolvers<void>();
    const count = () => void (++closed === 2_000 && all.resolve());
    for (let i = 0; i < 2_000; i++) {
      const mute = net.connect(server.port, "127.0.0.1").resume();
      mute.on("error", () => {}).on("close", count);
      // Half a client hello, which promises more.
      if (i % 2 === 0) {
        mute.write(
          new Uint8Array([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...Array(40).fill(7)]),
        );
      }
    }
    const greeted = greet(`${server.port}`, "Bob", { tls: secure });
    assert.equal(await greeted, GREETED);
    assert(closed < 2_000, "the answer waited for the silent ones");
    await inTime(all.promise, () => `2,000 closed, not ${closed}`);
    assert.equal(await greet(`${server.port}`, "Bob", { tls: secure }), GREETED);
  },
);

tlsTest("a client that is silent after the handshake is disconnected as well", async () => {
  await using authority = await Authority.create();
  await using server = await serveGreeter({ tls: await authority.issue("server") });
  const mute = tls.connect({
    port: server.port,
    host: "127.0.0.1",
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
  });
  await inTime(new Promise((resolve) => mute.once("secureConnect", resolve)), "the handshake");
  const closed = Promise.withResolvers<void>();
  mute.resume().on("error", () => {}).on("close", () => closed.resolve());
  await inTime(closed.promise, "the end");
});

/** Resolves when a connection has ended. */
function end(socket: net.Socket): Promise<void> {
  return new Promise((resolve) =>
    socket.resume().on("error", () => {}).on("close", () => resolve())
  );
}

tlsTest(
  "1,000 clients may have an unfinished preface; beyond that, the oldest are disconnected",
  async () => {
    await using authority = await Authority.create();
    await using server = await serveGreeter({ tls: await authority.issue("server") });
    const to = { port: server.port, host: "127.0.0.1" };
    // Ten clients that have finished the handshake, then more that have begun it.
    const secured = Array.from({ length: 10 }, (_, i) => {
      const client = tls.connect({ ...to, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
      // Some also send a preface without SETTINGS.
      if (i % 2 === 0) client.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
      return client;
    });
    const ends = secured.map(end);
    await inTime(
      Promise.all(secured.map((client) => new Promise((r) => client.once("secureConnect", r)))),
      "ten handshakes",
    );
    const begun = Array.from({ length: 1_490 }, () => {
      const client = net.connect(to);
      client.write(new Uint8Array([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, ...Array(20).fill(7)]));
      return client;
    });
    ends.push(...begun.slice(0, 490).map(end));
    // Before their time is up.
    await inTime(Promise.all(ends), "500 ends", 9_500);
    const rest = begun.slice(490).map(end);
    for (const client of begun) client.destroy();
    await Promise.all(rest);
  },
);

tlsTest("greetings by name work over TLS, with a naming server that uses TLS as well", async () => {
  await using authority = await Authority.create();
  const { cert, key } = await authority.issue("server");
  const secure = ["--cert", cert, "--key", key];
  await using names = Program.greet(["names", "0", ...secure]);
  const [, port] = await names.out.until(/listening on (\d+)\n/);
  const naming = ["--names", `tls://127.0.0.1:${port}`, "--cacert", authority.cert];
  await using _greeter = await serving(...secure, "--as", "greeter", ...naming);
  await names.out.until("greeter is at");
  const { code, out, err } = await run(["greet", "greeter", "Bob", "Alice", "--tls", ...naming]);
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /Hello, Bob\./);
  const plain = await run(["names", "list", "--names", port]);
  assert.match(plain.err, /the naming service at \S+: the other side speaks TLS/);
  const listed = await run(["names", "list", ...naming]);
  assert.match(listed.out, /^greeter {2}127\.0\.0\.1:\d+/);
});

const here = Deno.networkInterfaces()
  .find(({ address, family }) => family === "IPv4" && !isLoopback(address))?.address;

Deno.test({
  name: "beyond loopback nothing is sent in plaintext without --plaintext (needs a network)",
  ignore: here === undefined,
  async fn() {
    const refused = await run(["serve", "0", "--host", here!]);
    assert.equal(refused.code, 2);
    assert.match(
      refused.err,
      /would not be encrypted\n.*hint: add --cert and --key, or --plain/,
    );
    await using server = Program.greet(["serve", "0", "--host", here!, "--plaintext"]);
    const [, port] = await server.out.until(/listening on (\d+)\n/);
    await server.err.until(/^greet: warning: not encrypted: [^\n]*\n$/);
    const target = `${here}:${port}`;
    const greeting = await run(["greet", target, "Bob", "--quiet"]);
    assert.deepEqual([greeting.code, greeting.out], [78, ""]);
    assert.match(greeting.err, TLS_TO_PLAIN);
    const asked = await run(["greet", target, "Bob", "--quiet", "--plaintext"]);
    assert.match(asked.out, /Hello, Bob\./);
    assert.match(asked.err, /^greet: warning: not encrypted: [^\n]*\n$/);
  },
});

Deno.test({
  name: "a server on another address is called over TLS when called by name (needs a network)",
  ignore: here === undefined,
  async fn() {
    await using names = Program.greet(["names", "0"]);
    const [, place] = await names.out.until(/listening on (\d+)\n/);
    const serve = (...args: string[]) => Program.greet(["serve", "0", "--names", place, ...args]);
    await using _near = serve("--as", "near");
    await using _far = serve("--as", "far", "--host", here!, "--plaintext");
    await names.out.until(/near is at[^]*far is at|far is at[^]*near is at/);
    const call = (...args: string[]) => run(["greet", ...args, "--names", place, "--quiet"]);
    assert.match((await call("near", "Bob")).out, /Hello, Bob\./);
    const refused = await call("far", "Bob");
    assert.equal(refused.code, 78);
    assert.match(refused.err, /far: the other side does not speak TLS, and this side does\n/);
    assert.match((await call("far", "Bob", "--plaintext")).out, /Hello, Bob\./);
  },
});

const REFUSED: readonly [string[], RegExp][] = [
  [["serve", "0", "--cert", "x"], /--cert needs --key\n/],
  [["serve", "0", "--key", "x"], /--key needs --cert\n/],
  [["serve", "0", "--client-ca", "x"], /--client-ca needs --cert\n/],
  [["names", "0", "--cert", "x"], /--cert needs --key\n/],
  [["greet", "1", "Bob", "--cert", "x"], /--cert needs --key\n/],
  [
    ["greet", "1", "Bob", "--insecure", "--plaintext"],
    /--plaintext and --insecure cannot be combined/,
  ],
  [
    ["greet", "1", "Bob", "--cacert", "x", "--plaintext"],
    /--plaintext and --cacert cannot be combined/,
  ],
  [
    ["greet", "1", "Bob", "--insecure", "--cacert", "x"],
    /--insecure and --cacert cannot be combined/,
  ],
];

for (const [args, expected] of REFUSED) {
  Deno.test(`contradicting options are refused: greet ${args.join(" ")}`, async () => {
    const { code, out, err } = await run(args);
    assert.deepEqual([code, out], [2, ""]);
    assert.match(err, expected);
  });
}

tlsTest("each kind of unusable file has its own message, and none quotes a key", async () => {
  await using authority = await Authority.create();
  const [one, other] = await Promise.all([authority.issue("one"), authority.issue("other")]);
  const rubbish = `${authority.folder}/rubbish`;
  await Deno.writeTextFile(rubbish, "secret");
  const half = `${authority.folder}/half`;
  await Deno.writeTextFile(half, (await Deno.readTextFile(one.key)).slice(0, 100));
  const locked = `${authority.folder}/locked`;
  await outputOf(
    ...["openssl", "pkey", "-in", one.key, "-aes256", "-passout", "pass:x", "-out", locked],
  );
  const cases: [string, string, RegExp][] = [
    [
      `${rubbish}.not`,
      one.key,
      /^the certificate ".*rubbish\.not" cannot be read: No such file or directory$/,
    ],
    [rubbish, one.key, /^there is no certificate in ".*rubbish"$/],
    [one.cert, rubbish, /^there is no private key in ".*rubbish"$/],
    [one.key, one.cert, /^there is no certificate in ".*one\.key"$/],
    [one.cert, one.cert, /^there is no private key in ".*one\.pem"$/],
    [one.cert, locked, /^the private key in .*locked has a passphrase$/],
    [one.cert, half, /not a certificate and its private key$/],
    [one.cert, other.key, /^the private key in .*other\.key does not belong to .*one\.pem$/],
  ];
  for (const [cert, key, message] of cases) {
    assert.throws(() => readKeyPair(cert, key), (error: Error) => {
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /secret|BEGIN (EC |ENCRYPTED )?PRIVATE/);
      return true;
    });
    const { code, err } = await run(["serve", "0", "--cert", cert, "--key", key]);
    assert.equal(code, 1);
    assert.doesNotMatch(err, /secret|BEGIN (EC |ENCRYPTED )?PRIVATE/);
  }
});

/** Everything that may call a server over TLS. */
const CALLS: Record<string, string[]> = {
  "a greeting": ["greet", "localhost:1", "Bob", "--tls"],
  "two greetings": ["greet", "localhost:1", "Bob", "Alice", "--tls"],
  "an unverified greeting": ["greet", "1", "Bob", "--insecure"],
  "a greeting by name": ["greet", "greeter", "Bob", "--names", "tls://localhost:1"],
  "a list of names": ["names", "list", "--names", "tls://localhost:1"],
  "a watch": ["names", "watch", "--names", "tls://localhost:1"],
  "a list on etcd": ["names", "list", "--names", "etcds://localhost:1"],
  "a server with a name": ["serve", "0", "--as", "greeter", "--names", "tls://localhost:1"],
  "a chat by name": ["chat", "Bob", "Alice", "--names", "tls://localhost:1"],
};

for (const [what, args] of Object.entries(CALLS)) {
  Deno.test(`${what} names the variable whose CA certificates cannot be read, exit 1`, async () => {
    const { code, out, err } = await run(args, {
      env: { GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: "/no/such/file" },
    });
    assert.deepEqual([code, out], [1, ""]);
    assert.equal(
      err,
      'greet: error: GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: the certificate "/no/such/file" cannot ' +
        "be read: No such file or directory\n" +
        "greet: hint: unset the variable to trust the CAs of the system\n",
    );
  });
}

Deno.test("unknown ciphers are an error for each name, on every thread", async () => {
  const { code, err } = await run(["greet", "localhost:1", "Bob", "Alice", "--tls"], {
    env: { GRPC_SSL_CIPHER_SUITES: "ROT13" },
  });
  assert.equal(code, 1);
  const reason = 'GRPC_SSL_CIPHER_SUITES: no cipher suite is called "ROT13"';
  assert.deepEqual(err.trimEnd().split("\n").sort(), [
    `greet: error: [Alice] ${reason}`,
    `greet: error: [Bob] ${reason}`,
  ]);
});

tlsTest(
  "CA certificates from the environment are trusted, also by a server with a name",
  async () => {
    await using authority = await Authority.create();
    const { cert, key } = await authority.issue("server");
    const secure = ["--cert", cert, "--key", key];
    const env = { GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: authority.cert };
    await using names = Program.greet(["names", "0", ...secure]);
    const [, port] = await names.out.until(/listening on (\d+)\n/);
    const naming = ["--names", `tls://127.0.0.1:${port}`];
    await using greeter = Program.greet(["serve", "0", ...secure, "--as", "greeter", ...naming], {
      env,
    });
    await names.out.until("greeter is at");
    const { code, out } = await run(["greet", "greeter", "Bob", "--tls", ...naming], { env });
    assert.equal(code, 0);
    assert.match(out, /Hello, Bob\./);
    assert.equal(greeter.err.text, "");
  },
);
