/** The licenses that every archive of a release contains. */
import assert from "node:assert/strict";
import { thirdPartyLicenses } from "../../release/licenses.ts";

Deno.test("the licenses of Deno, of Unicode's data and of all packages of the binary are there", async () => {
  const sections = (await thirdPartyLicenses()).split(`\n\n${"-".repeat(80)}\n\n`).slice(1);
  const names = sections.map((section) => section.split("\n")[0]);
  assert.match(names[0], /^Deno \d/);
  assert.match(
    sections[1],
    /^Unicode[^]*\nUNICODE LICENSE V3\n\nCOPYRIGHT AND PERMISSION NOTICE\n/,
  );
  for (const name of ["@grpc/grpc-js 1.", "protobufjs 7.", "@peculiar/asn1-schema 2.", "long 5."]) {
    assert(names.some((line) => line.startsWith(name)), name);
  }
  assert(!names.some((name) => /^(ajv|@xterm)/.test(name)));
  for (const section of sections) {
    assert.match(section, /permission|redistribut|Apache License/i, section.split("\n")[0]);
  }
});
