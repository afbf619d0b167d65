/**
 * Makes certificates for tests with openssl: a certificate authority, and what it issues.
 *
 * @module
 */
import { hasCommand } from "./tools.ts";

/** Whether openssl is installed, to make certificates with. */
export const hasOpenssl = hasCommand("openssl");

/** A certificate and its key, as PEM files. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority. Disposing of it removes all its files. */
export class Authority implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "greet-tls-" });
  readonly #name: string;
  #issued = 1;

  private constructor(name: string) {
    this.#name = name;
  }

  static async create(name = "authority"): Promise<Authority> {
    const authority = new Authority(name);
    const { cert, key } = authority.#files(name);
    await openssl(
      ...["req", "-x509", ...NEW_KEY, "-keyout", key, "-out", cert],
      ...["-days", "2", "-subj", `/CN=${name}`],
    );
    return authority;
  }

  /** The file of the authority's own certificate. */
  get cert(): string {
    return this.#files(this.#name).cert;
  }

  /** The file of its key. */
  get key(): string {
    return this.#files(this.#name).key;
  }

  /**
   * Issues a certificate.
   *
   * @param days how long it is valid; -1 for one that expired long ago
   * @param hosts the hosts it is for, as openssl writes them
   * @param usage its extended key usage, if it has one
   * @param copies whether it has these extensions; without any, openssl up to 3.3 makes X.509 v1
   */
  async issue(
    name: string,
    days: 1 | -1 = 1,
    hosts = "DNS:localhost,IP:127.0.0.1",
    { usage, copies = true }: { usage?: "serverAuth" | "clientAuth"; copies?: boolean } = {},
  ): Promise<CertificateFiles> {
    const { cert, key } = this.#files(name);
    const request = `${this.folder}/${name}.csr`;
    await openssl(
      ...["req", "-new", ...NEW_KEY, "-keyout", key, "-out", request, "-subj", `/CN=${name}`],
      ...["-addext", `subjectAltName=${hosts}`],
      ...usage === undefined ? [] : ["-addext", `extendedKeyUsage=${usage}`],
    );
    const extensions = copies ? "copy" : "none";
    const sign = days > 0 ? this.#sign(request, extensions) : this.#signLate(request, extensions);
    await openssl(...await sign, "-out", cert);
    return { cert, key };
  }

  /** The arguments that make a certificate which is valid from now on, for a day. */
  #sign(request: string, extensions: string): string[] {
    return [
      ...["x509", "-req", "-in", request, "-days", "1", "-set_serial", `${this.#issued++}`],
      ...["-CA", this.cert, "-CAkey", this.key, "-copy_extensions", extensions],
    ];
  }

  /**
   * The arguments that make a certificate which was valid in 2020. `openssl x509` can only make one
   * that ends before it begins, for which the runtime has another message.
   */
  async #signLate(request: string, extensions: string): Promise<string[]> {
    const config = `${request}.cnf`;
    await Deno.writeTextFile(
      config,
      `[ca]\ndatabase=${config}.index\nserial=${config}.serial\nnew_certs_dir=${this.folder}\npolicy=policy\n` +
        `default_md=sha256\ncopy_extensions=${extensions}\n[policy]\ncommonName=supplied\n`,
    );
    await Deno.writeTextFile(`${config}.index`, "");
    await Deno.writeTextFile(`${config}.serial`, `${this.#issued++}`.padStart(2, "0"));
    return [
      ...["ca", "-batch", "-notext", "-config", config, "-name", "ca", "-in", request],
      ...["-cert", this.cert, "-keyfile", this.key],
      ...["-startdate", "20200101000000Z", "-enddate", "20200102000000Z"],
    ];
  }

  #files(name: string): CertificateFiles {
    return { cert: `${this.folder}/${name}.pem`, key: `${this.folder}/${name}.key` };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Deno.remove(this.folder, { recursive: true });
  }
}

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

async function openssl(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
