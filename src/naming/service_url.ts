/**
 * Which naming service is meant, as users write it: a naming server, or an etcd.
 *
 * A naming server on another machine is asked over TLS, unless its place or `--plaintext` says
 * otherwise; one on this machine in plaintext. What is written `etcd://` or `plaintext://` is
 * never encrypted, wherever it is, and {@link isExposed} tells where somebody should be warned.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { isLocal, parseTarget, type Target } from "../net/address.ts";

/** A naming server. */
export interface ServerPlace {
  readonly kind: "server";
  readonly targets: readonly [Target];
  readonly isSecure: boolean;
}

/** An etcd, and where in it the keys are. */
export interface EtcdPlace {
  readonly kind: "etcd";
  readonly targets: readonly Target[];
  readonly isSecure: boolean;
  /** What all keys begin with: nothing, or something that ends with a `/`. */
  readonly prefix: string;
}

/** Where names are kept. */
export type NamingPlace = ServerPlace | EtcdPlace;

/** The port of etcd where none is given. */
const ETCD_PORT = 2379;

/**
 * Where names are kept.
 *
 * @param text a port or any other target of a naming server, with `tls://` or `plaintext://` in
 *   front of it or without; or an etcd, as {@link parseEtcdPlace} takes it
 * @param isPlaintext whether what does not say otherwise is not encrypted
 * @throws {GreetError} `USAGE` where it is none
 *
 * @example
 * ```ts
 * import { parsePlace } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * assert(!parsePlace("55500").isSecure && parsePlace("tls://localhost:55500").isSecure);
 * assert(parsePlace("10.0.0.1:55500").isSecure);
 * assert(!parsePlace("plaintext://10.0.0.1:55500").isSecure);
 * ```
 */
export function parsePlace(text: string, isPlaintext = false): NamingPlace {
  if (/^etcds?:\/\//.test(text)) return parseEtcdPlace(text);
  const [, scheme, where] = /^(?:(tls|plaintext):\/\/)?(.*)$/s.exec(text)!;
  const target = parseTarget(where);
  const isSecure = scheme === "tls" ||
    scheme === undefined && !isPlaintext && !isLocal(target);
  return { kind: "server", targets: [target], isSecure };
}

/**
 * Where an etcd is.
 *
 * @param text `etcd://host:port,…/prefix`, or `etcds://…` for TLS; port and prefix may be missing
 * @throws {GreetError} `USAGE` where it is nothing of that kind
 *
 * @example
 * ```ts
 * import { parseEtcdPlace } from "@greet/greet";
 * import assert from "node:assert/strict";
 *
 * const { targets, prefix } = parseEtcdPlace("etcd://10.0.0.1,10.0.0.2:23790/team");
 * assert.deepEqual(targets.map(({ address }) => address), ["10.0.0.1:2379", "10.0.0.2:23790"]);
 * assert.equal(prefix, "team/");
 * ```
 */
export function parseEtcdPlace(text: string): EtcdPlace {
  const [, scheme, hosts, path = ""] = /^(etcds?):\/\/([^/]*)(?:\/(.*))?$/s.exec(text) ?? [];
  const prefix = path.replace(/\/+$/, "");
  if (!hosts) {
    const hint = "write etcd://HOST:PORT, or etcd://HOST:PORT,HOST:PORT for several nodes";
    throw new GreetError("USAGE", "there is no host in the place of etcd", { hint });
  }
  if (hosts.includes("@")) {
    // What is wrong is not quoted: it may be a password.
    const hint = "set GREET_ETCD_USER and GREET_ETCD_PASSWORD";
    throw new GreetError("USAGE", "the place of etcd has no room for a user", { hint });
  }
  return {
    kind: "etcd",
    targets: hosts.split(",").map(parseNode),
    isSecure: scheme === "etcds",
    prefix: prefix && `${prefix}/`,
  };
}

function parseNode(host: string): Target {
  const isBare = /^(\[[^\]]*\]|[^:]*[^:\d][^:]*)$/.test(host);
  try {
    const target = parseTarget(isBare ? `${host}:${ETCD_PORT}` : host);
    if (target.endpoint !== undefined) return target;
  } catch (error) {
    if (GreetError.from(error).code !== "USAGE") throw error;
  }
  throw new GreetError("USAGE", `${JSON.stringify(host)} is not a node of etcd`, {
    hint: "a node is a host, host:port or [v6]:port; several are separated by commas",
  });
}

/** Whether what is asked there, and what is answered, goes over a network as it is. */
export function isExposed({ targets, isSecure }: NamingPlace): boolean {
  return !isSecure && !targets.every(isLocal);
}

/** Whether it is on this machine. */
export function isNearby({ targets }: NamingPlace): boolean {
  return targets.every(isLocal);
}
