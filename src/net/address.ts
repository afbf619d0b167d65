/**
 * Parses ports to listen on and targets to connect to.
 *
 * A target is a port on this machine, `host:port`, `[v6]:port`, or a gRPC address such as
 * `dns:///host:port` or `unix:/path`. Invalid ones are reported here, before anything is opened.
 *
 * @module
 */
import { nameProblem } from "../base/text.ts";
import { isIP } from "./ip.ts";
import { GreetError } from "../base/errors.ts";
import {
  isPlaceholder,
  likelyHosts,
  likelyPorts,
  likelyTargets,
  withoutScheme,
} from "./mistyped_address.ts";

/** The default host. */
export const LOOPBACK = "127.0.0.1";

/** An address to connect to. */
export interface Target {
  /**
   * The address in gRPC's syntax. Source:
   * {@link https://github.com/grpc/grpc/blob/master/doc/naming.md}.
   */
  readonly address: string;
  /** The host and port, if it is a single host; not for Unix sockets. */
  readonly endpoint?: { readonly host: string; readonly port: number };
}

/**
 * Parses a port number to listen on.
 *
 * @param text 0 to 65535 in decimal; 0 asks the system for a free port
 * @throws {GreetError} `USAGE` if it is anything else
 */
export function parsePort(text: string): number {
  if (isPort(text)) return Number(text);
  const hint = isPlaceholder(text)
    ? "write a number in its place, such as 55550"
    : didYouMean(meantPort(text)) ?? "a port is a number from 0 to 65535; 0 chooses a free one";
  throw new GreetError("USAGE", `${JSON.stringify(text)} is not a port`, { hint });
}

/** Whether a text is a port to listen on. */
function isPort(text: string): boolean {
  return /^\d+$/.test(text) && Number(text) <= 65535;
}

function meantPort(text: string): string | undefined {
  const [, host = "", port = ""] = /^\[?(.*?)\]?:(\d+)\/?$/.exec(withoutScheme(text)) ?? [];
  if (isHost(host) && isPort(port)) return `${port} --host ${host}`;
  return likelyPorts(text).find(isPort);
}

function didYouMean(meant: string | undefined): string | undefined {
  return meant === undefined ? undefined : `did you mean ${meant}?`;
}

/**
 * Parses a host to listen on.
 *
 * @param text a host name, or an IPv4 or IPv6 address without brackets
 * @throws {GreetError} `USAGE` if it is anything else
 */
export function parseHost(text: string): string {
  if (isHost(text)) return text;
  if (isImpossible(text)) throw notIPv4(text);
  const [, port] = /[^:\]][\]]?:(\d+)$/.exec(text) ?? [];
  const meant = likelyHosts(text).find(isHost);
  const all = meant !== undefined && port !== undefined ? `${meant}, and ${port} as PORT` : meant;
  throw new GreetError("USAGE", `${JSON.stringify(text)} is not a host`, {
    hint: didYouMean(all) ?? "write 127.0.0.1 for this machine only, or 0.0.0.0 for all networks",
  });
}

/** Whether a text can be a host: the name or address of one machine. */
function isHost(text: string): boolean {
  return isIP(text) !== 0 || /^[\p{L}\p{N}_][\p{L}\p{N}_.-]*$/u.test(text) && !isImpossible(text);
}

/** Whether a host looks like an IPv4 address and cannot be one. */
function isImpossible(host: string): boolean {
  return /^\d+(\.\d+){3,}$/.test(host) && URL.parse(`http://${host}`) === null;
}

function notIPv4(host: string): GreetError {
  return new GreetError("USAGE", `${JSON.stringify(host)} is not an IPv4 address`, {
    hint: "an IPv4 address is four numbers from 0 to 255, such as 127.0.0.1",
  });
}

/**
 * Parses a target to connect to.
 *
 * @param text a port, `host:port`, `[v6]:port`, `dns:…`, `ipv4:…`, `ipv6:…` or `unix:/path`
 * @throws {GreetError} `USAGE` if it is none of these, or has no valid port
 *
 * @example
 * ```ts
 * import { parseTarget } from "./address.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(parseTarget("55550").address, "127.0.0.1:55550");
 * assert.equal(parseTarget("[::1]:55550").endpoint?.host, "::1");
 * assert.throws(() => parseTarget("example.org"), /has no port/);
 * ```
 */
export function parseTarget(text: string): Target {
  const target = readTarget(text);
  if (target !== undefined) return target;
  throw notATarget(text);
}

/** @returns undefined for a text that is no target */
function readTarget(text: string): Target | undefined {
  if (/^\d+$/.test(text)) return endpointTarget(LOOPBACK, text);
  if (/^unix:./.test(text)) return { address: text };
  const { authority, hostAndPort } = partsOf(text);
  if (!isNameServer(authority)) return undefined;
  const match = /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:/[\]]+)):(\d+)$/.exec(hostAndPort);
  const [, v6, host, port] = match ?? [];
  const target = match === null ? undefined : endpointTarget(v6 ?? host, port);
  return target && { ...target, address: text };
}

/** The name server and the `host:port` of a target. */
function partsOf(text: string): { authority: string; hostAndPort: string } {
  const scheme = /^(dns|ipv4|ipv6):(?!\d+$)/.exec(text)?.[0] ?? "";
  const [slashed] = /^\/\/[^/]*\//.exec(text.slice(scheme.length)) ?? [""];
  const hostAndPort = text.slice(scheme.length + slashed.length);
  return { authority: slashed.slice(2, -1), hostAndPort };
}

/** gRPC accepts only an address as the name server between the slashes of `dns://SERVER/host:port`. */
function isNameServer(server: string): boolean {
  const [, v6, v4 = server] = /^\[(.+)\](?::\d+)?$/.exec(server) ?? [];
  return server === "" || isIP(v6 ?? v4.replace(/:\d+$/, "")) === (v6 === undefined ? 4 : 6);
}

function endpointTarget(host: string, portText: string): Target | undefined {
  const port = Number(portText);
  if (port < 1 || port > 65535 || isImpossible(host)) return undefined;
  return { address: formatEndpoint(host, port), endpoint: { host, port } };
}

function notATarget(text: string): GreetError {
  const quoted = JSON.stringify(text);
  const wrong = (message: string, hint: string) => new GreetError("USAGE", message, { hint });
  if (!isNameServer(partsOf(text).authority)) {
    const hint =
      "write dns:///host:port, or dns://10.0.0.1/host:port to ask the DNS server 10.0.0.1";
    return wrong(`${quoted} does not name a DNS server by its address`, hint);
  }
  if (isPlaceholder(text)) {
    return wrong(`${quoted} is not a target`, "write a port in its place, such as 55550");
  }
  const meant = meantTargets(text);
  if (meant !== undefined) return wrong(`${quoted} is not a target`, meant);
  const bare = withoutScheme(partsOf(text).hostAndPort).replace(/\/$/, "");
  const [, host = "", port] = /^(\[[^\]]*\]|[^\s:/[\]]+)?:?(\S*)$/.exec(bare) ?? [];
  if (isImpossible(host)) return notIPv4(host);
  if (port || /^\d+$/.test(host)) {
    return wrong(`${quoted} has no valid port`, "a port to connect to is a number from 1 to 65535");
  }
  if (host === "unix") return wrong(`${quoted} has no path`, "write unix:/path");
  if (host !== "") return wrong(`the target ${quoted} has no port`, `write ${host}:PORT`);
  const hint = "a target is a port, host:port, [v6]:port, dns:///host:port or unix:/path";
  return wrong(`${quoted} is not a target`, hint);
}

/** The hint for a text that resembles one or more targets. */
function meantTargets(text: string): string | undefined {
  const isTarget = (text: string) => readTarget(text) !== undefined;
  const meant = likelyTargets(text).find(isTarget);
  const wantsTls = /^(https|tls|grpcs):/i.test(text);
  if (meant !== undefined) return didYouMean(wantsTls ? `${meant} with --tls` : meant);
  if (isIP(text) === 6) return `write [${text}]:PORT`;
  const several = text.split(/[\s,;]+/).filter((part) => part !== "");
  if (several.length < 2 || !several.every(isTarget)) return undefined;
  return `separate targets with spaces: ${several.join(" ")}`;
}

/**
 * Splits `NAME@TARGET`, in which only a peer of that name is accepted at the target.
 *
 * @example
 * ```ts
 * import { splitName } from "./address.ts";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(splitName("Bob@55556"), { name: "Bob", target: "55556" });
 * assert.deepEqual(splitName("unix:/tmp/a@b"), { name: undefined, target: "unix:/tmp/a@b" });
 * ```
 */
export function splitName(text: string): { name: string | undefined; target: string } {
  const [, name, target = text] = /^(?!unix:)([^/]*?)@(unix:.*|[^@]*)$/.exec(text) ?? [];
  return { name, target };
}

/**
 * Whether a text is a target: a number, or anything with a colon. With a naming service, any other
 * text is a name.
 */
export function isTarget(text: string): boolean {
  return /^(.*@)?\d+$|:/.test(text);
}

/** The longest endpoint: host names have up to 253 characters. */
const MAX_ENDPOINT_LENGTH = 261;

/**
 * Whether a text is a single host and its port: an address that can be given to other machines.
 *
 * @example
 * ```ts
 * import { isEndpoint } from "./address.ts";
 * import assert from "node:assert/strict";
 *
 * assert(isEndpoint("example.org:55555") && isEndpoint("[::1]:55555"));
 * assert(!isEndpoint("55555") && !isEndpoint("unix:/tmp/socket") && !isEndpoint("host:0"));
 * assert(!isEndpoint("[host:1]:55555"));
 * ```
 */
export function isEndpoint(text: string): boolean {
  if (text.length > MAX_ENDPOINT_LENGTH) return false;
  const port = /^(?:\[(?=[^:\]]*:[^:\]]*:)[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.-]+):(\d{1,5})$/.exec(text)
    ?.[1];
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65535;
}

/**
 * Whether a host is this machine: `localhost` (RFC 6761, section 6.3), 127.0.0.0/8 (RFC 1122,
 * section 3.2.1.3) or `::1`, in any notation.
 *
 * @example
 * ```ts
 * import { isLoopback } from "./address.ts";
 * import assert from "node:assert/strict";
 *
 * assert(isLoopback("127.1.2.3") && isLoopback("0:0:0:0:0:0:0:1") && isLoopback("localhost"));
 * assert(!isLoopback("0.0.0.0") && !isLoopback("10.0.0.1"));
 * assert(!isLoopback("localhost.example.org"));
 * ```
 */
export function isLoopback(host: string): boolean {
  // Other characters would make the URL parser see a different host than the system does, and the
  // system takes anything that ends with a dot for a name.
  if (!/^[\w.:-]*[\w:-]$/.test(host)) return false;
  const { hostname } = URL.parse(`http://${formatEndpoint(host, 80)}`) ?? {};
  return hostname !== undefined && LOOPBACK_HOST.test(hostname);
}

/** Loopback hosts, as the URL parser normalizes them. */
const LOOPBACK_HOST = /^(localhost|127\.[\d.]+|\[::1\]|\[::ffff:7f[\da-f]{2}:[\da-f]+\])$/;

/** Whether a target is on this machine. */
export function isLocal({ address, endpoint }: Target): boolean {
  return endpoint === undefined ? address.startsWith("unix:") : isLoopback(endpoint.host);
}

/** Formats `host:port`, with brackets around IPv6 addresses. */
export function formatEndpoint(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Whether a text can only be meant as a name: it is no target, and does not look like a host whose
 * port is missing.
 */
export function isOnlyName(text: string): boolean {
  return !isTarget(text) && !/^localhost$|[.,;@/]|^unix$/i.test(text) && !isPlaceholder(text) &&
    likelyPorts(text).length === 0 && nameProblem(text) === undefined;
}
