/** The limits on headers admit tokens of 16 kB, whatever client sends them. */
import assert from "node:assert/strict";
import { Authority, hasOpenssl } from "../support/certificates.ts";
import { Program, ROOT, serving } from "../support/program.ts";
import { findPython, GO_PATH, hasCommand, hasGoPackage, works } from "../support/tools.ts";

/** A token of 16 kB that no encoding shortens much. */
const TOKEN = crypto.getRandomValues(new Uint8Array(16_384)).toBase64().slice(0, 16_384);

/** Returns the command of a client, without its arguments; may build it in a folder. */
type Client = (folder: string) => string[] | Promise<string[]>;

const python = await findPython("grpc");
const hasRuby = await works("ruby", "-e", 'require "grpc"');
const hasCurl = hasCommand("curl") && hasCommand("sh");

async function buildGo(folder: string): Promise<string[]> {
  const { success, stderr } = await new Deno.Command("go", {
    args: ["build", "-o", `${folder}/client`, `${ROOT}tests/http2/token_client.go`],
    env: { GO111MODULE: "off", GOCACHE: `${folder}/cache`, GOPATH: GO_PATH },
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  return [`${folder}/client`];
}

const clients: [what: string, isAvailable: boolean, client: Client][] = [
  ["Python with grpcio", python !== undefined, () => [python!, "tests/http2/token_client.py"]],
  ["Ruby with grpc", hasRuby, () => ["ruby", "tests/http2/token_client.rb"]],
  ["Go with grpc", hasGoPackage("google.golang.org/grpc"), buildGo],
  ["node", hasCommand("node"), () => ["node", "tests/http2/token_client.mjs"]],
  ["curl and sh", hasCurl, () => ["sh", "tests/http2/token_client.sh"]],
];

for (const [what, isAvailable, client] of clients) {
  for (const transport of ["plaintext", "TLS"]) {
    const isSecure = transport === "TLS";
    Deno.test({
      name: `a client may send a token of 16 kB over ${transport} (needs ${what}${
        isSecure ? ", openssl" : ""
      })`,
      ignore: !isAvailable || isSecure && !hasOpenssl,
      async fn() {
        await using authority = isSecure ? await Authority.create() : undefined;
        const pair = await authority?.issue("server");
        await using greeter = await serving(pair ? ["--cert", pair.cert, "--key", pair.key] : []);
        const folder = await Deno.makeTempDir();
        const address = `localhost:${greeter.port}`;
        const certificates = authority ? [authority.cert] : [];
        await using program = new Program([
          ...await client(folder),
          address,
          TOKEN,
          ...certificates,
        ]);
        assert.equal(await program.code(), 0, program.err.text);
        assert.equal(program.out.text.split("Hello, Bob.").length, 4, program.out.text);
        await Deno.remove(folder, { recursive: true });
      },
    });
  }
}
