/**
 * Runs gRPC's own client and server for interoperability tests, in Ruby, as Debian's `ruby-grpc`
 * installs them.
 *
 * Both find their certificates in a folder beside them. So they are linked, unchanged, into a folder
 * with certificates for this machine.
 *
 * @module
 */
import { join } from "node:path";
import { Authority } from "./certificates.ts";
import { freePorts } from "./ports.ts";
import { Program, ROOT } from "./program.ts";
import { exists, outputOf } from "./tools.ts";

const FIND_GEM = 'require "grpc"; require "googleauth"; print Gem.loaded_specs["grpc"].gem_dir';
const gem = join(await outputOf("ruby", "-e", FIND_GEM) ?? "none", "src", "ruby");

/** Whether Ruby, gRPC and its tests are installed. */
export const hasRubyTests = exists(join(gem, "pb", "test", "client.rb"));

/** Whether a connection uses TLS. */
export type Transport = "plaintext" | "TLS";

/** The official client and server. Disposing of it removes their folder. */
export class RubyTests implements AsyncDisposable {
  readonly #folder: string;
  readonly #authority: Authority | undefined;

  private constructor(folder: string, authority?: Authority) {
    this.#folder = folder;
    this.#authority = authority;
  }

  static async install(transport: Transport): Promise<RubyTests> {
    const folder = await Deno.makeTempDir({ prefix: "greet-interop-" });
    await Deno.mkdir(join(folder, "pb", "test"), { recursive: true });
    await Deno.mkdir(join(folder, "spec", "testdata"), { recursive: true });
    for (const part of ["lib", "pb/src", "pb/test/client.rb", "pb/test/server.rb"]) {
      await Deno.symlink(join(gem, part), join(folder, part));
    }
    if (transport === "plaintext") return new RubyTests(folder);
    const authority = await Authority.create();
    const { cert, key } = await authority.issue("server");
    const files = { "ca.pem": authority.cert, "server1.pem": cert, "server1.key": key };
    for (const [name, file] of Object.entries(files)) {
      await Deno.copyFile(file, join(folder, "spec", "testdata", name));
    }
    return new RubyTests(folder, authority);
  }

  /** The certificate authority, and the server's certificate and key (PEM); none in plaintext. */
  async certificates(): Promise<{ trusted: Uint8Array; cert: string; key: string } | undefined> {
    if (this.#authority === undefined) return undefined;
    const file = (name: string) => join(this.#folder, "spec", "testdata", name);
    return {
      trusted: await Deno.readFile(file("ca.pem")),
      cert: file("server1.pem"),
      key: file("server1.key"),
    };
  }

  /**
   * Starts the client.
   *
   * @param testCase a case of its own, or one of `tests/rpc/interop_cases.rb`
   */
  client(port: number, testCase: string): Program {
    const more = join(ROOT, "tests", "rpc", "interop_cases.rb");
    return this.#run("client.rb", ["-r", more], [
      "--server_host=localhost",
      `--server_port=${port}`,
      "--use_test_ca=true",
      `--test_case=${testCase}`,
    ]);
  }

  /** Starts the server. It listens a moment later. */
  server(): { readonly port: string; readonly program: Program } {
    const [port] = freePorts(1);
    return { port, program: this.#run("server.rb", [], [`--port=${port}`]) };
  }

  #run(script: string, options: string[], args: string[]): Program {
    const path = join(this.#folder, "pb", "test", script);
    return new Program(
      ["ruby", "-W0", ...options, path, `--use_tls=${this.#authority !== undefined}`, ...args],
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#authority?.[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
