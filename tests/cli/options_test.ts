/** How options and addresses together decide what is encrypted and what is refused. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Arguments } from "../../src/cli/arguments.ts";
import type { Option } from "../../src/cli/syntax.ts";
import { newIdentity } from "../../src/identity/identity.ts";
import { isExposed, isNearby, parsePlace } from "../../src/naming/service_url.ts";
import { isLocal, isLoopback, parseTarget } from "../../src/net/address.ts";
import { chatTls, clientTls, serverTls } from "../../src/cli/tls_options.ts";
import "../support/environment.ts";

const OPTIONS: Readonly<Record<string, Option>> = {
  ...Object.fromEntries(
    ["cert", "key", "client-ca", "cacert"].map((name) => [name, { value: "FILE", help: "" }]),
  ),
  ...Object.fromEntries(["tls", "insecure", "plaintext"].map((name) => [name, { help: "" }])),
};

/** Parses options that are separated by spaces. */
function typed(options: string): Arguments {
  const args = options.split(" ").filter((word) => word !== "");
  return new Arguments({ name: "test", usage: "", options: OPTIONS }, args);
}

/** The result of a function, or the message of its usage error. */
async function outcome<T>(fn: () => T | Promise<T>): Promise<T | { wrong: string }> {
  try {
    return await fn();
  } catch (error) {
    const { code, message, hint } = error as { code?: string; message: string; hint?: string };
    assert.equal(code, "USAGE", message);
    assert.match(hint ?? "", /\w/);
    return { wrong: message };
  }
}

// ---------------------------------------------------------------- loopback hosts and targets

/** Loopback hosts, as the system understands them. */
const LOOPBACKS = [
  "127.0.0.1",
  "127.0.0.2",
  "127.255.255.254",
  "127.1",
  "127.0.1",
  "0x7f.0.0.1",
  "0x7f000001",
  "0177.0.0.1",
  "2130706433",
  "localhost",
  "LOCALHOST",
  "LocalHost",
  "::1",
  "0:0:0:0:0:0:0:1",
  "::0001",
  "0000::1",
  "::0.0.0.1",
  "::ffff:127.0.0.1",
  "::FFFF:127.1.2.3",
  "::ffff:7f00:1",
  "0:0:0:0:0:ffff:7f00:1",
];

/** Hosts that are, or may be, on other machines. */
const OTHERS = [
  "",
  "127.0.0.1.",
  "127.1.",
  "2130706433.",
  "localhost.",
  "0.0.0.0",
  "0",
  "::",
  "0:0:0:0:0:0:0:0",
  "10.0.0.1",
  "192.168.1.1",
  "126.255.255.255",
  "128.0.0.1",
  "1.0.0.127",
  "2130706432.1",
  "2147483649",
  "0x80.0.0.1",
  "255.255.255.255",
  "example.org",
  "127.0.0.1.evil.org",
  "127.0.0.1.nip.io",
  "127.0.0.1@evil.org",
  "127.0.0.1:80@evil.org",
  "evil.org@127.0.0.1",
  "evil.org#127.0.0.1",
  "127.0.0.1#evil.org",
  "127.0.0.1/evil.org",
  "127.0.0.1\\evil.org",
  "127.0.0.1?evil.org",
  "127.0.0.1%2eevil.org",
  "%31%32%37.0.0.1",
  "127.0.0.1 evil.org",
  " 127.0.0.1",
  "127.0.0.1\n",
  "127.0.0.1\t",
  "127\n.0.0.1",
  "127.0.0.256",
  "127.0.0.0.1",
  "127.",
  "127.x",
  "127.0.0.1x",
  "127-0-0-1",
  "１２７.0.0.1",
  "127。0。0。1",
  "①②⑦.0.0.1",
  "ⓛocalhost",
  "local\u00ADhost",
  "localhost.example.org",
  "localhost.localdomain",
  "notlocalhost",
  "localhosts",
  "my.localhost",
  "localhost:80",
  "[::1]",
  "[127.0.0.1]",
  "::2",
  "::1:1",
  "1::1",
  "::1%lo",
  "fe80::1",
  "fe80::7f00:1",
  "::127.0.0.1",
  "::ffff:10.0.0.1",
  "::ffff:0:127.0.0.1",
  "::ffff:7e00:1",
  "::ffff:8000:1",
  "64:ff9b::127.0.0.1",
  "2001:db8::1",
  "::1.evil.org",
  "unix:/tmp/socket",
];

for (const host of LOOPBACKS) {
  Deno.test(`the host ${host} is this machine`, () => assert(isLoopback(host)));
}

for (const host of OTHERS) {
  Deno.test(`the host ${JSON.stringify(host)} may be another machine`, () => {
    assert(!isLoopback(host));
  });
}

const LOCAL = [
  "55550",
  "localhost:55550",
  "127.0.0.1:55550",
  "127.9.9.9:55550",
  "2130706433:55550",
  "[::1]:55550",
  "[::ffff:127.0.0.1]:55550",
  "unix:/tmp/socket",
  "unix:///tmp/socket",
  "unix:relative",
  "dns:localhost:55550",
  "dns:///127.0.0.1:55550",
  "ipv4:127.0.0.1:55550",
  "ipv6:[::1]:55550",
];

const BEYOND = [
  "127.0.0.1.:55550",
  "10.0.0.1:55550",
  "0.0.0.0:55550",
  "[::]:55550",
  "example.org:55550",
  "localhost.example.org:55550",
  "127.0.0.1.evil.org:55550",
  "127.0.0.1@evil.org:55550",
  "localhost@evil.org:55550",
  "127.0.0.1#evil.org:55550",
  "127.0.0.1?.evil.org:55550",
  "127.0.0.1\\evil.org:55550",
  "127.0.0.1%2eevil.org:55550",
  "１２７.0.0.1:55550",
  "[2001:db8::1]:55550",
  "[::ffff:10.0.0.1]:55550",
  "[::1%lo]:55550",
  "dns:///example.org:55550",
  "dns://127.0.0.1/example.org:55550",
  "dns://127.0.0.1/evil.org:55550",
  "dns:unix:55550",
  "ipv4:10.0.0.1:55550",
  "ipv6:[::]:55550",
  "unixes:55550",
];

for (const target of LOCAL) {
  Deno.test(`the target ${target} is on this machine`, () => assert(isLocal(parseTarget(target))));
}

for (const target of BEYOND) {
  Deno.test(`the target ${JSON.stringify(target)} may be on another machine`, () => {
    assert(!isLocal(parseTarget(target)));
  });
}

// ---------------------------------------------------------------- servers

const NEAR = ["127.0.0.1", "127.1", "localhost", "::1", "::ffff:127.0.0.1", "2130706433"];
const FAR = [
  "0.0.0.0",
  "::",
  "10.0.0.1",
  "2001:db8::1",
  "example.org",
  "127.0.0.1.evil.org",
  "127.0.0.1@evil.org",
  "localhost.example.org",
  "[::1]",
];

const SHOWN = { cert: "c.pem", key: "k.pem", clientCa: undefined };

/** The TLS of a server by its options, on this machine and beyond; a pattern is a usage error. */
const SERVERS: readonly [options: string, near: unknown, far: unknown][] = [
  ["", undefined, /^other machines can reach .*, and connections would not be encrypted$/],
  ["--plaintext", undefined, undefined],
  ["--cert c.pem --key k.pem", SHOWN, SHOWN],
  ["--cert c.pem --key k.pem --client-ca a.pem", { ...SHOWN, clientCa: "a.pem" }, {
    ...SHOWN,
    clientCa: "a.pem",
  }],
  ["--cert c.pem", /^--cert needs --key$/, /^--cert needs --key$/],
  ["--key k.pem", /^--key needs --cert$/, /^--key needs --cert$/],
  ["--key k.pem --plaintext", /^--key needs --cert$/, /^--key needs --cert$/],
  ["--client-ca a.pem", /^--client-ca needs --cert$/, /^--client-ca needs --cert$/],
  ["--client-ca a.pem --plaintext", /^--client-ca needs --cert$/, /^--client-ca needs --cert$/],
  [
    "--cert c.pem --key k.pem --plaintext",
    /^--plaintext and --cert cannot be combined$/,
    /^--plaintext and --cert cannot be combined$/,
  ],
];

for (const [options, near, far] of SERVERS) {
  const given = options === "" ? "no options" : options;
  for (const [hosts, expected] of [[NEAR, near], [FAR, far]] as const) {
    Deno.test(`a server with ${given} at ${hosts[0]} and similar hosts`, async () => {
      for (const host of hosts) {
        const result = await outcome(() => serverTls(typed(options), host));
        if (expected instanceof RegExp) {
          assert.match(
            (result as { wrong: string } | undefined)?.wrong ?? "accepted",
            expected,
            host,
          );
        } else assert.deepEqual(result, expected, host);
      }
    });
  }
}

Deno.test("the error for a server beyond this machine names the host and both remedies", () => {
  assert.throws(() => serverTls(typed(""), "0.0.0.0"), {
    code: "USAGE",
    message: /^other machines can reach 0\.0\.0\.0,/,
    hint: "add --cert and --key, or --plaintext",
  });
});

// ---------------------------------------------------------------- clients

/** A test with certificate files for the options. */
function filesTest(name: string, fn: (folder: string) => Promise<void>): void {
  Deno.test(name, async () => {
    const folder = await Deno.makeTempDir({ prefix: "greet-options-" });
    try {
      const own = await newIdentity("Alice");
      Deno.writeFileSync(join(folder, "c.pem"), own.cert);
      Deno.writeFileSync(join(folder, "k.pem"), own.key);
      Deno.writeFileSync(join(folder, "a.pem"), (await newIdentity("authority")).cert);
      await fn(folder);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

const TARGETS = {
  near: ["55550", "localhost:1", "[::1]:1", "unix:/tmp/socket", "127.1:1", "dns:///127.0.0.1:1"],
  far: BEYOND,
  named: [undefined],
};

const EXCLUDED = (one: string, other: string) =>
  new RegExp(`^--${one} and --${other} cannot be combined`);

/**
 * The TLS of a client by its options: undefined for plaintext, a pattern for a usage error, else the
 * settings that it has (`i`nsecure, `t`rusted, `o`wn, `b`eyond loopback only).
 */
const CLIENTS:
  readonly (readonly [options: string, near: unknown, far: unknown, named: unknown])[] = [
    ["", undefined, "", "b"],
    ["--tls", "", "", ""],
    ["--insecure", "i", "i", "i"],
    ["--tls --insecure", "i", "i", "i"],
    ["--cacert a.pem", "t", "t", "tb"],
    ["--tls --cacert a.pem", "t", "t", "t"],
    ["--cert c.pem --key k.pem", "o", "o", "ob"],
    ["--cert c.pem --key k.pem --cacert a.pem", "to", "to", "tob"],
    ["--cert c.pem --key k.pem --cacert a.pem --tls", "to", "to", "to"],
    ["--cert c.pem --key k.pem --insecure", "io", "io", "io"],
    ["--plaintext", undefined, undefined, undefined],
    ...([
      ["--cert c.pem", /^--cert needs --key$/],
      ["--key k.pem", /^--key needs --cert$/],
      ["--key k.pem --plaintext", /^--key needs --cert$/],
      ["--plaintext --tls", EXCLUDED("plaintext", "tls")],
      ["--plaintext --insecure", EXCLUDED("plaintext", "insecure")],
      ["--plaintext --cacert a.pem", EXCLUDED("plaintext", "cacert")],
      ["--plaintext --cert c.pem --key k.pem", EXCLUDED("plaintext", "cert")],
      ["--insecure --cacert a.pem", EXCLUDED("insecure", "cacert")],
      ["--insecure --cacert a.pem --tls", EXCLUDED("insecure", "cacert")],
    ] as const).map(([options, wrong]) => [options, wrong, wrong, wrong] as const),
  ];

for (const [options, ...expected] of CLIENTS) {
  filesTest(`a client with ${options === "" ? "no options" : options}`, async (folder) => {
    const input = () => typed(options.replaceAll(/\w+\.pem/g, join(folder, "$&")));
    const read = (file: string) => Deno.readTextFileSync(join(folder, file));
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    for (const [i, kind] of (["near", "far", "named"] as const).entries()) {
      for (const target of TARGETS[kind]) {
        const result = await outcome(() =>
          clientTls(input(), target === undefined ? target : parseTarget(target))
        );
        const about = `${options} to ${kind} ${target}`;
        const wanted = expected[i];
        if (wanted instanceof RegExp) {
          assert.match(result && "wrong" in result ? result.wrong : "accepted", wanted, about);
          continue;
        }
        assert(result === undefined || !("wrong" in result), about);
        if (wanted === undefined) {
          assert.equal(result, undefined, about);
          continue;
        }
        assert(result !== undefined, about);
        const { insecure, trusted, own, beyondLoopback } = result;
        const has = { i: insecure, t: trusted, o: own, b: beyondLoopback };
        const letters = Object.entries(has).filter(([, value]) => value).map(([letter]) => letter);
        assert.equal(letters.join(""), wanted, about);
        if (trusted !== undefined) assert.equal(text(trusted as Uint8Array), read("a.pem"));
        if (own !== undefined) {
          assert.deepEqual([text(own.cert), text(own.key)], [read("c.pem"), read("k.pem")]);
        }
      }
    }
  });
}

filesTest("unusable files are refused before anything is sent", async (folder) => {
  const far = parseTarget("10.0.0.1:1");
  Deno.writeTextFileSync(join(folder, "text.pem"), "no certificate");
  const files = (options: string) => typed(options.replaceAll(/\w+\.pem/g, join(folder, "$&")));
  const wrong: [options: string, message: RegExp][] = [
    ["--cacert none.pem", /^the certificate ".*none\.pem" cannot be read: No such file/],
    ["--cacert text.pem", /^there is no certificate in ".*text\.pem"$/],
    ["--cert none.pem --key k.pem", /^the certificate ".*none\.pem" cannot be read: No such file/],
    ["--cert c.pem --key none.pem", /^the private key ".*none\.pem" cannot be read: No such file/],
    ["--cert c.pem --key text.pem", /^there is no private key in ".*text\.pem"$/],
    ["--cert k.pem --key c.pem", /^there is no certificate in ".*k\.pem"$/],
    ["--cert a.pem --key k.pem", /^the private key in .*k\.pem does not belong to .*a\.pem$/],
  ];
  for (const [options, message] of wrong) {
    await assert.rejects(clientTls(files(options), far), { code: "FAILED", message }, options);
  }
  // Without TLS they are not needed, and not read.
  assert.equal(await clientTls(typed(""), parseTarget("55550")), undefined);
});

// ---------------------------------------------------------------- chats

const BOTH = (isSecure: boolean, isBeyond: boolean) => ({ isSecure, isBeyond });

Deno.test("a chat within this machine is plaintext unless --tls is given", () => {
  for (const host of NEAR) {
    for (const target of TARGETS.near) {
      const chat = (options: string) => chatTls(typed(options), [host, host], [target, target]);
      assert.deepEqual(chat(""), BOTH(false, false), `${host} ${target}`);
      assert.deepEqual(chat("--plaintext"), BOTH(false, false));
      assert.deepEqual(chat("--tls"), BOTH(true, false));
    }
  }
});

Deno.test("a chat that partly leaves this machine is encrypted unless --plaintext is given", () => {
  const [near] = NEAR;
  const parts: [hosts: string[], targets: string[]][] = [
    ...FAR.flatMap((far): [string[], string[]][] => [
      [[far], []],
      [[far], ["55550"]],
      [[near, far], ["55550"]],
      [[far, near], ["55550"]],
    ]),
    ...BEYOND.flatMap((far): [string[], string[]][] => [
      [[near], [far]],
      [[near], ["55550", far]],
      [[near], [far, "55550"]],
    ]),
    [["0.0.0.0", "10.0.0.1"], ["10.0.0.2:1", "10.0.0.3:1"]],
  ];
  for (const [hosts, targets] of parts) {
    const about = `${hosts} to ${targets}`;
    const chat = (options: string) => chatTls(typed(options), hosts, targets);
    assert.deepEqual(chat(""), BOTH(true, true), about);
    assert.deepEqual(chat("--plaintext"), BOTH(false, true), about);
    assert.deepEqual(chat("--tls"), BOTH(true, true), about);
  }
});

Deno.test("a chat with unknown targets is encrypted according to its own address", () => {
  assert.deepEqual(chatTls(typed(""), ["127.0.0.1"], []), BOTH(false, false));
  assert.deepEqual(chatTls(typed(""), ["0.0.0.0"], []), BOTH(true, true));
});

Deno.test("a chat refuses --tls with --plaintext, and invalid targets", async () => {
  const wrong = async (options: string, targets: string[]) =>
    await outcome(() => chatTls(typed(options), ["127.0.0.1"], targets));
  const { wrong: message } = await wrong("--tls --plaintext", []) as { wrong: string };
  assert.match(message, /^--plaintext and --tls cannot be combined$/);
  for (const target of ["example.org", "[::1]", "127.0.0.1", "", "http://127.0.0.1:80", "0"]) {
    assert("wrong" in await wrong("", [target]), target);
  }
});

// ---------------------------------------------------------------- naming services

type How = readonly [isSecure: boolean, isExposed: boolean];

/** Naming servers, and how they are called without and with `--plaintext`. */
const PLACES: readonly [place: string, without: How, withPlaintext: How][] = [
  ...LOCAL.map((place): [string, How, How] => [place, [false, false], [false, false]]),
  ...BEYOND.map((place): [string, How, How] => [place, [true, false], [false, true]]),
];

for (const [place, without, withPlaintext] of PLACES) {
  Deno.test(`a naming server at ${JSON.stringify(place)}, with each scheme`, () => {
    const how = (text: string, isPlaintext?: boolean): How => {
      const parsed = parsePlace(text, isPlaintext);
      assert.equal(parsed.kind, "server");
      // The scheme is not part of the target.
      assert.deepEqual(parsed.targets, [parseTarget(place)]);
      assert.equal(isNearby(parsed), !without[0]);
      return [parsed.isSecure, isExposed(parsed)];
    };
    assert.deepEqual(how(place), without);
    assert.deepEqual(how(place, false), without);
    assert.deepEqual(how(place, true), withPlaintext);
    for (const isPlaintext of [false, true]) {
      assert.deepEqual(how(`tls://${place}`, isPlaintext), [true, false]);
      assert.deepEqual(how(`plaintext://${place}`, isPlaintext), [false, without[0]]);
    }
  });
}

/** Nodes of etcd, and whether all of them are on this machine. */
const ETCDS: readonly [hosts: string, isNear: boolean][] = [
  ["localhost", true],
  ["127.0.0.1:2379", true],
  ["[::1]", true],
  ["[::1]:2379,localhost,127.0.0.2:1/team", true],
  ["10.0.0.1", false],
  ["0.0.0.0", false],
  ["example.org:2379", false],
  ["127.0.0.1,10.0.0.1", false],
  ["10.0.0.1,127.0.0.1/team", false],
  ["localhost.example.org", false],
  ["127.0.0.1.evil.org/team/", false],
  ["127.0.0.1#evil.org", false],
];

for (const [hosts, isNear] of ETCDS) {
  Deno.test(`etcd at ${hosts} is encrypted with etcds://, and only then`, () => {
    for (const isPlaintext of [false, true]) {
      const plain = parsePlace(`etcd://${hosts}`, isPlaintext);
      assert.deepEqual([plain.kind, plain.isSecure], ["etcd", false]);
      assert.deepEqual([isNearby(plain), isExposed(plain)], [isNear, !isNear]);
      const secure = parsePlace(`etcds://${hosts}`, isPlaintext);
      assert.deepEqual([secure.kind, secure.isSecure], ["etcd", true]);
      assert.deepEqual([isNearby(secure), isExposed(secure)], [isNear, false]);
    }
  });
}

/** Invalid services that could be mistaken for a plaintext one, or for another host. */
const INVALID_SERVICES = [
  "",
  "tls://",
  "plaintext://",
  "TLS://10.0.0.1:55500",
  "tls://plaintext://10.0.0.1:55500",
  "plaintext://tls://10.0.0.1:55500",
  "tls://etcd://10.0.0.1",
  "http://10.0.0.1:55500",
  "https://10.0.0.1:55500",
  "ETCD://10.0.0.1",
  "etcd://",
  "etcds:///team",
  "etcd://user:secret@10.0.0.1",
  "ETCD://user:secret@10.0.0.1",
  "etcd:user:secret@10.0.0.1",
  "user:secret@10.0.0.1,10.0.0.2",
  "55500,55501",
  "etcd://127.0.0.1,",
  "etcd://,",
  "etcd://unix:/tmp/socket",
  "etcd://10.0.0.1:0",
  "tls://example.org",
  "127.0.0.1:55500/evil.org",
  "127.0.0.1 :55500",
  "127.0.0.1:55500\n",
];

for (const place of INVALID_SERVICES) {
  Deno.test(`not a naming service: ${JSON.stringify(place)}`, async () => {
    for (const isPlaintext of [false, true]) {
      const result = await outcome(() => parsePlace(place, isPlaintext));
      assert("wrong" in result, JSON.stringify(result));
      assert(!result.wrong.includes("secret"), result.wrong);
    }
  });
}
