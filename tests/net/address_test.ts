import assert from "node:assert/strict";
import {
  formatEndpoint,
  isTarget,
  parseHost,
  parsePort,
  parseTarget,
  splitName,
} from "../../src/net/address.ts";

const TARGETS: readonly [typed: string, address: string, host?: string, port?: number][] = [
  ["55550", "127.0.0.1:55550", "127.0.0.1", 55550],
  ["localhost:1", "localhost:1", "localhost", 1],
  ["10.0.0.1:65535", "10.0.0.1:65535", "10.0.0.1", 65535],
  ["[::1]:55550", "[::1]:55550", "::1", 55550],
  ["dns:///example.org:80", "dns:///example.org:80", "example.org", 80],
  ["dns://1.1.1.1/example.org:80", "dns://1.1.1.1/example.org:80", "example.org", 80],
  ["dns://[::1]:53/example.org:80", "dns://[::1]:53/example.org:80", "example.org", 80],
  ["dns:example.org:80", "dns:example.org:80", "example.org", 80],
  ["ipv4:127.0.0.1:80", "ipv4:127.0.0.1:80", "127.0.0.1", 80],
  ["ipv6:[::1]:80", "ipv6:[::1]:80", "::1", 80],
  ["dns:80", "dns:80", "dns", 80],
  ["unix:/tmp/a.sock", "unix:/tmp/a.sock"],
  ["unix:///tmp/a.sock", "unix:///tmp/a.sock"],
];

for (const [typed, address, host, port] of TARGETS) {
  Deno.test(`a target: ${typed}`, () => {
    const endpoint = host === undefined ? undefined : { host, port };
    const target = parseTarget(typed);
    assert.equal(target.address, address);
    assert.deepEqual(target.endpoint, endpoint);
  });
}

const INVALID_TARGETS: readonly [typed: string, message: RegExp][] = [
  ["", /not a target/],
  ["0", /no valid port/],
  ["65536", /no valid port/],
  ["localhost", /no port/],
  ["localhost:", /no port/],
  ["localhost:0", /no valid port/],
  ["localhost:99999", /no valid port/],
  ["localhost:http", /no valid port/],
  ["[::1]", /no port/],
  ["::1:80", /not a target/],
  ["dns:///example.org", /no port/],
  ["dns://u@h/localhost:80", /does not name a DNS server by its address/],
  ["dns://1.1.1/localhost:80", /does not name a DNS server by its address/],
  ["dns://[1.1.1.1]/localhost:80", /does not name a DNS server by its address/],
  ["http://localhost:80", /not a target/],
  ["a b:80", /not a target/],
  ["unix:", /has no path/],
  ["-1", /no port/],
];

for (const [typed, message] of INVALID_TARGETS) {
  Deno.test(`not a target: ${JSON.stringify(typed)}`, () => {
    assert.throws(() => parseTarget(typed), { code: "USAGE", message });
  });
}

const NAMED: readonly [typed: string, name: string | undefined, target: string][] = [
  ["Bob@55556", "Bob", "55556"],
  ["Carol Ann@host:1", "Carol Ann", "host:1"],
  ["a@b@[::1]:1", "a@b", "[::1]:1"],
  ["Bob@unix:/tmp/a@b", "Bob", "unix:/tmp/a@b"],
  ["unix:/tmp/a@b", undefined, "unix:/tmp/a@b"],
  ["unix:a@b", undefined, "unix:a@b"],
  ["dns:///host:1", undefined, "dns:///host:1"],
  ["@55556", "", "55556"],
];

for (const [typed, name, target] of NAMED) {
  Deno.test(`a name before a target: ${typed}`, () => {
    assert.deepEqual(splitName(typed), { name, target });
    assert.equal(isTarget(typed), true);
  });
}

Deno.test("a text with an @ but no port is a name", () => {
  assert.equal(isTarget("bob@home"), false);
});

Deno.test("a port to listen on is a number from 0 to 65535", () => {
  assert.equal(parsePort("0"), 0);
  assert.equal(parsePort("65535"), 65535);
  for (const typed of ["65536", "-1", "", "1e3", "0x50", "80.5", " 80", "٨٠", "http"]) {
    assert.throws(() => parsePort(typed), { code: "USAGE", message: /is not a port/ });
  }
});

Deno.test("IPv6 addresses are formatted with brackets", () => {
  assert.equal(formatEndpoint("127.0.0.1", 80), "127.0.0.1:80");
  assert.equal(formatEndpoint("::1", 80), "[::1]:80");
});

/** Mistyped targets, ports and hosts, and the hint. */
const MISTYPED: readonly [
  parse: (text: string) => unknown,
  hints: [typed: string, hint: string][],
][] = [
  [parseTarget, [
    ["::1:55550", "did you mean [::1]:55550?"],
    ["[::1]55550", "did you mean [::1]:55550?"],
    ["fe80::1%eth0:55550", "did you mean [fe80::1%eth0]:55550?"],
    ["::1", "write [::1]:PORT"],
    ["127.0.0.1", "write 127.0.0.1:PORT"],
    ["http://localhost:55550/path?query", "did you mean localhost:55550?"],
    ["https://example.org:443/", "did you mean example.org:443 with --tls?"],
    ["grpc://[::1]:55550", "did you mean [::1]:55550?"],
    ["localhost 55550", "did you mean localhost:55550?"],
    ["10.0.0.1.55550", "did you mean 10.0.0.1:55550?"],
    ["localhost:55550,", "did you mean localhost:55550?"],
    [":55550", "did you mean 55550?"],
    ["55,550", "did you mean 55550?"],
    ["5555O", "did you mean 55550?"],
    ["55556,55557", "separate targets with spaces: 55556 55557"],
    ["~/greet.sock", "did you mean unix:~/greet.sock?"],
    ["999.1.1.1:55550", "an IPv4 address is four numbers from 0 to 255, such as 127.0.0.1"],
    ["<PORT>", "write a port in its place, such as 55550"],
  ]],
  [parsePort, [
    [":55550", "did you mean 55550?"],
    ["0.0.0.0:55550", "did you mean 55550 --host 0.0.0.0?"],
    ["[::1]:55550", "did you mean 55550 --host ::1?"],
    ["http://localhost:55550", "did you mean 55550 --host localhost?"],
    ["port=55550", "did you mean 55550?"],
    ["70000", "a port is a number from 0 to 65535; 0 chooses a free one"],
  ]],
  [parseHost, [
    ["", "write 127.0.0.1 for this machine only, or 0.0.0.0 for all networks"],
    ["*", "did you mean 0.0.0.0?"],
    ["[::1]", "did you mean ::1?"],
    ["10.0.0.1:55550", "did you mean 10.0.0.1, and 55550 as PORT?"],
    ["http://localhost/", "did you mean localhost?"],
    ["10.0.0.1/24", "did you mean 10.0.0.1?"],
    ["256.0.0.1", "an IPv4 address is four numbers from 0 to 255, such as 127.0.0.1"],
  ]],
];

for (const [parse, hints] of MISTYPED) {
  for (const [typed, hint] of hints) {
    Deno.test(`${parse.name} says what ${JSON.stringify(typed)} was meant to be`, () => {
      assert.throws(() => parse(typed), { code: "USAGE", hint });
    });
  }
}

Deno.test("a host to listen on is a name or an address", () => {
  const hosts = [
    "localhost",
    "127.1",
    "0.0.0.0",
    "::1",
    "fe80::1%eth0",
    "müller.example",
    "my_host",
  ];
  for (const host of [...hosts, "localhost.", "0177.0.0.1"]) assert.equal(parseHost(host), host);
});
