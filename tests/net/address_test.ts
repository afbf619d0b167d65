import assert from "node:assert/strict";
import {
  formatEndpoint,
  isTarget,
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
  ["localhost:", /not a target/],
  ["localhost:0", /no valid port/],
  ["localhost:99999", /no valid port/],
  ["localhost:http", /not a target/],
  ["[::1]", /no port/],
  ["::1:80", /not a target/],
  ["dns:///example.org", /no port/],
  ["dns://u@h/localhost:80", /does not name a DNS server by its address/],
  ["dns://1.1.1/localhost:80", /does not name a DNS server by its address/],
  ["dns://[1.1.1.1]/localhost:80", /does not name a DNS server by its address/],
  ["http://localhost:80", /not a target/],
  ["a b:80", /not a target/],
  ["unix:", /not a target/],
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
