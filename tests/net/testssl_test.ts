/** What testssl.sh says about the TLS of all that listens. The docs list what it checks. */
import assert from "node:assert/strict";
import { Authority, hasOpenssl } from "../support/certificates.ts";
import { freePorts } from "../support/ports.ts";
import { Program, serving } from "../support/program.ts";
import { hasCommand } from "../support/tools.ts";
import { inTime } from "../support/waiting.ts";

/** How long all checks of one server may take, in milliseconds. */
const CHECKS_MS = 600_000;

/** One line of a report. */
interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly finding: string;
}

/** Protocols, ciphers, forward secrecy, defaults, vulnerabilities. */
const CHECKS = ["-p", "-s", "-f", "-P", "-S", "-U"];

/** `WARN` is not about the server: testssl.sh could not do a check. Those expected must be done. */
const HARMLESS = ["OK", "INFO", "WARN"];

/** About the certificate, which the test or the peer has made itself, or about testssl.sh itself. */
const NOT_ABOUT_US = /^(cert_.*|engine_problem|service|scanTime)$/;

const EXPECTED: Readonly<Record<string, RegExp>> = {
  SSLv2: /^not offered/,
  SSLv3: /^not offered/,
  TLS1: /^not offered/,
  TLS1_1: /^not offered/,
  TLS1_2: /^not offered/,
  TLS1_3: /^offered/,
  ALPN_HTTP2: /^h2$/,
  cipherlist_STRONG: /^offered/,
  PFS: /^offered/,
  secure_client_renego: /^not vulnerable/,
  heartbleed: /^not vulnerable/,
  CCS: /^not vulnerable/,
  ROBOT: /^not vulnerable/,
  DROWN: /^not vulnerable/,
  LOGJAM: /^not vulnerable/,
  LUCKY13: /^not vulnerable/,
  RC4: /^not vulnerable/,
};

/** Debian calls the script `testssl`. */
const testssl = ["testssl", "testssl.sh"].find(hasCommand);

async function report(port: string): Promise<Finding[]> {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/report.json`;
  const quiet = ["--quiet", "--color", "0", "--warnings", "off", "--nodns", "min", "--ip", "one"];
  const args = [...quiet, "--jsonfile", file, ...CHECKS, `127.0.0.1:${port}`];
  const child = new Deno.Command(testssl!, {
    args,
    cwd: folder,
    stdout: "null",
    stderr: "null",
  })
    .spawn();
  try {
    await inTime(child.status, `a report about port ${port}`, CHECKS_MS);
    return JSON.parse(await Deno.readTextFile(file));
  } finally {
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended.
    }
    await Deno.remove(folder, { recursive: true });
  }
}

async function assertSound(port: string): Promise<void> {
  const findings = await report(port);
  const bad = findings.filter(({ id, severity }) =>
    !HARMLESS.includes(severity) && !NOT_ABOUT_US.test(id)
  );
  assert.deepEqual(bad, []);
  for (const [id, expected] of Object.entries(EXPECTED)) {
    assert.match(findings.find((one) => one.id === id)?.finding ?? "not checked", expected, id);
  }
}

Deno.test({
  name: "testssl.sh finds no fault with serve, names and a chat (needs testssl.sh)",
  ignore: testssl === undefined || !hasOpenssl,
  async fn() {
    await using authority = await Authority.create();
    const { cert, key } = await authority.issue("server");
    const [a, b] = freePorts();
    await using greeter = await serving(["--cert", cert, "--key", key]);
    await using names = Program.greet(["names", "0", "--cert", cert, "--key", key]);
    await using alice = Program.greet(["chat", "Alice", a, b, "--tls"]);
    const [, namesPort] = await names.out.until(/listening on (\d+)\n/);
    await alice.out.until("Waiting");
    // Each takes a minute of CPU; together they would starve other tests.
    for (const port of [greeter.port, namesPort, a]) await assertSound(port);
  },
});
