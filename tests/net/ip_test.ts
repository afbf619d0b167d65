/** IP addresses are recognized exactly as `node:net` recognizes them. */
import assert from "node:assert/strict";
import net from "node:net";
import fc from "fast-check";
import { isIP } from "../../src/net/ip.ts";
import { propertyTest, texts } from "../support/properties.ts";

const PARTS = texts(
  ...["0", "1", "01", "255", "256", ".", "1.2.3.4", "0x7f.1", "１"],
  ...[":", "::", "::1", "ffff", "1:2:3:4", "[", "]", "%", "%eth0", "/", "\t", "\n", " "],
);

/** An address with one character too many. */
const damaged = fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(), fc.constantFrom(..."0f.:%[ \n"))
  .map(([address, at, extra]) => address.slice(0, at % 40) + extra + address.slice(at % 40));

const inputs = fc.oneof(fc.ipV4(), fc.ipV6(), damaged, PARTS);

propertyTest("IP addresses are recognized as node:net does", inputs, (text) => {
  assert.equal(isIP(text), net.isIP(text));
}, 20_000);
