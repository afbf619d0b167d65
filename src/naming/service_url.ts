/**
 * Parses the address of a naming service, as users write it: of a naming server, of etcd, or `lan`.
 *
 * A naming server on another machine is called over TLS, one on this machine without it, unless the
 * address or `--plaintext` says otherwise. `etcd://` and `plaintext://` are never encrypted, not even
 * over a network, which {@link isExposed} detects.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { isLocal, parseTarget, type Target } from "../net/address.ts";

/** The address of a naming server. */
export interface ServerPlace {
  readonly kind: "server";
  readonly targets: readonly [Target];
  readonly isSecure: boolean;
}

/** The address of an etcd cluster. */
export interface EtcdPlace {
  readonly kind: "etcd";
  readonly targets: readonly Target[];
  readonly isSecure: boolean;
  /** The prefix of all keys: empty, or ends with a `/`. */
  readonly prefix: string;
}

/** The local network. It has no address: it is asked by multicast. */
export interface LanPlace {
  readonly kind: "lan";
  readonly targets: readonly [];
  readonly isSecure: false;
}

/** The address of a naming service. */
export type NamingPlace = ServerPlace | EtcdPlace | LanPlace;

/** How users write the local network. */
export const LAN = "lan";

/** The default port of a naming server. */
export const NAMES_PORT = 55_500;

/** The default port of etcd. */
const ETCD_PORT = 2379;

/**
 * Parses the address of a naming service.
 *
 * @param text a port or any other target of a naming server, optionally after `tls://` or
 *   `plaintext://`; an etcd, as {@link parseEtcdPlace} takes it; or `lan`
 * @param isPlaintext whether naming servers without a scheme are called without TLS
 * @throws {GreetError} `USAGE` if it is invalid
 *
 * @example
 * ```ts
 * import { parsePlace } from "./service_url.ts";
 * import assert from "node:assert/strict";
 *
 * assert(!parsePlace("55500").isSecure && parsePlace("tls://localhost:55500").isSecure);
 * assert(parsePlace("10.0.0.1:55500").isSecure);
 * assert(!parsePlace("plaintext://10.0.0.1:55500").isSecure);
 * assert.equal(parsePlace("lan").kind, "lan");
 * ```
 */
export function parsePlace(text: string, isPlaintext = false): NamingPlace {
  if (text === LAN) return { kind: "lan", targets: [], isSecure: false };
  if (/^etcds?:\/\//.test(text)) return parseEtcdPlace(text);
  const [, scheme, where] = /^(?:(tls|plaintext):\/\/)?(.*)$/s.exec(text)!;
  refuseMistyped(text, where);
  const target = parseTarget(where);
  const isSecure = scheme === "tls" ||
    scheme === undefined && !isPlaintext && !isLocal(target);
  return { kind: "server", targets: [target], isSecure };
}

/** Refuses what {@link parseTarget} would refuse with advice that does not fit a naming service. */
function refuseMistyped(text: string, where: string): void {
  const meant = meantService(text);
  // What may contain a password is not quoted.
  if (meant.startsWith("etcd") && meant.includes("@")) parseEtcdPlace(meant);
  if (meant !== text) {
    const message = `${JSON.stringify(text)} is not a naming service`;
    throw new GreetError("USAGE", message, { hint: `did you mean ${meant}?` });
  }
  if (!/^(\[[^\]]*\]|[^\s:/,]*[^\s:/,\d][^\s:/,]*)$/.test(where)) return;
  throw new GreetError("USAGE", `the naming service ${JSON.stringify(text)} has no port`, {
    hint: `write ${text}:${NAMES_PORT}` + (text === where ? `, or etcd://${text} for etcd` : ""),
  });
}

/** A service with a scheme that exists; several addresses can only be those of etcd. */
function meantService(text: string): string {
  if (/^(lan|mdns|dns-sd|bonjour|zeroconf|avahi)(:\/*)?$/i.test(text)) return LAN;
  const meant = text.replace(/^(etcds?|tls|plaintext):\/*/i, (scheme) => {
    return `${scheme.replace(/:.*/, "").toLowerCase()}://`;
  }).replace(/^(https|grpcs):\/+/i, "tls://");
  return /^[^/]+,[^/]+$/.test(meant) ? `etcd://${meant}` : meant;
}

/**
 * Parses the address of an etcd cluster.
 *
 * @param text `etcd://host:port,…/prefix`, or `etcds://…` for TLS; port and prefix are optional
 * @throws {GreetError} `USAGE` if it is invalid
 *
 * @example
 * ```ts
 * import { parseEtcdPlace } from "./service_url.ts";
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
    throw new GreetError("USAGE", "the address of etcd has no host", { hint });
  }
  if (hosts.includes("@")) {
    // The message does not quote the address, which may contain a password.
    const hint = "set GREET_ETCD_USER and GREET_ETCD_PASSWORD";
    throw new GreetError("USAGE", "an address of etcd cannot contain a user", { hint });
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
  throw new GreetError("USAGE", `${JSON.stringify(host)} is not an etcd node`, {
    hint: "a node is a host, host:port or [v6]:port; several are separated by commas",
  });
}

/**
 * Whether requests and answers cross a network unencrypted, although they need not. On the local
 * network they always do.
 */
export function isExposed({ targets, isSecure }: NamingPlace): boolean {
  return !isSecure && !targets.every(isLocal);
}

/** Whether the whole service is on this machine. */
export function isNearby({ kind, targets }: NamingPlace): boolean {
  return kind !== "lan" && targets.every(isLocal);
}
