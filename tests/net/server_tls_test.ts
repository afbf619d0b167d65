import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import { type Identity, newIdentity } from "../../mod.ts";
import { inspectCertificate } from "../../src/net/certificates.ts";
import { TlsHandshaker } from "../../src/net/server_tls.ts";

const FILE_BYTES = 2_000;

/** Writes a certificate and its key to files of constant size and modification time. */
function writeFiles(files: { cert: string; key: string }, { cert, key }: Identity, at: Date): void {
  for (const [file, pem] of [[files.cert, cert], [files.key, key]] as const) {
    Deno.writeTextFileSync(file, new TextDecoder().decode(pem).padStart(FILE_BYTES, "\n"));
    Deno.utimeSync(file, at, at);
  }
}

Deno.test("a certificate that is replaced twice within the resolution of the clock is reloaded", async () => {
  const folder = await Deno.makeTempDir();
  const files = { cert: `${folder}/cert.pem`, key: `${folder}/key.pem` };
  const [first, second] = [await newIdentity("first"), await newIdentity("second")];
  const now = new Date();
  writeFiles(files, first, now);
  const handshaker = new TlsHandshaker(files, {
    onSecure: (socket) => socket.end().resume(),
    onRefused: ({ message }) => assert.match(message, /speaks TLS 1\.2/),
    onReloadError: (error) => assert.fail(error),
  });
  writeFiles(files, second, now);

  const server = net.createServer((socket) => handshaker.begin(socket));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as net.AddressInfo;
  const client = tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  await once(client, "secureConnect");
  const { raw } = client.getPeerCertificate();
  assert.deepEqual(inspectCertificate(raw), { fingerprint: second.fingerprint });
  client.destroy();

  const old = tls.connect({ port, host: "127.0.0.1", maxVersion: "TLSv1.2" });
  const [error] = await once(old, "error");
  assert.match(error.message, /protocol ?version/i, "TLS 1.2 is still refused");
  await once(server.close(), "close");
  await Deno.remove(folder, { recursive: true });
});
