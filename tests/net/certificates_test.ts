import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { X509Certificate } from "node:crypto";
import { newIdentity } from "../../mod.ts";
import { examine } from "../../src/net/certificates.ts";

Deno.test("a certificate from a handshake is DER, and text inside it is never read as another one", async () => {
  const { cert, fingerprint } = await newIdentity("Alice");
  const der = new X509Certificate(Buffer.from(cert)).raw;
  assert.deepEqual(examine(der), { fingerprint });
  assert("problem" in examine(cert), "PEM is not DER");
  assert("problem" in examine(Buffer.concat([der.subarray(0, 4), cert])));
});
