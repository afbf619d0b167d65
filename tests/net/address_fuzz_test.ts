/** Any text is an address that means the same when it is read again, or gets one sentence. */
import assert from "node:assert/strict";
import { parsePlace } from "../../src/naming/service_url.ts";
import {
  formatEndpoint,
  isTarget,
  parseHost,
  parsePort,
  parseTarget,
  splitName,
} from "../../src/net/address.ts";
import { oneSentence, propertyTest, texts } from "../support/properties.ts";

const ADDRESS = texts(
  ...["127.0.0.1", "localhost", "example.org", "::1", "[", "]", ":", "@", "/", "//", ",", "%", "."],
  ...[
    "0",
    "1",
    "65535",
    "65536",
    "55550",
    "dns:",
    "ipv4:",
    "unix:",
    "etcd://",
    "etcds://",
    "http://",
  ],
  ...["Bob", "-", " ", "\t", "é", "⒈", "１", "\u0000", "999999999999999999999"],
);

propertyTest("a target is refused in one sentence, or leads to what it says", ADDRESS, (text) => {
  const target = oneSentence(() => parseTarget(text));
  if (target !== undefined) assert(isTarget(text));
  if (target?.endpoint === undefined) return;
  const { host, port } = target.endpoint;
  assert(Number.isInteger(port) && port >= 0 && port <= 65_535, `${port}`);
  assert.deepEqual(parseTarget(formatEndpoint(host, port)).endpoint, target.endpoint);
}, 5_000);

propertyTest(
  "a port and a host are refused in one sentence, or taken as they are",
  ADDRESS,
  (text) => {
    const port = oneSentence(() => parsePort(text));
    if (port !== undefined) assert(port >= 0 && port <= 65_535, `${port}`);
    const host = oneSentence(() => parseHost(text));
    if (host !== undefined) assert.equal(host, text);
  },
  5_000,
);

propertyTest("a naming service is refused in one sentence, or accepted", ADDRESS, (text) => {
  oneSentence(() => parsePlace(text));
}, 5_000);

propertyTest("an argument is a name and a target that give it back", ADDRESS, (text) => {
  const { name, target } = splitName(text);
  assert.equal(name === undefined ? target : `${name}@${target}`, text);
}, 5_000);
