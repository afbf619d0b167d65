import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { X509Certificate } from "node:crypto";
import { newIdentity } from "../../mod.ts";
import { inspectCertificate } from "../../src/net/certificates.ts";

Deno.test("a certificate from a handshake is read as DER only, even if it contains PEM", async () => {
  const { cert, fingerprint } = await newIdentity("Alice");
  const der = new X509Certificate(Buffer.from(cert)).raw;
  assert.deepEqual(inspectCertificate(der), { fingerprint });
  assert("problem" in inspectCertificate(cert), "PEM is not DER");
  assert("problem" in inspectCertificate(Buffer.concat([der.subarray(0, 4), cert])));
});
