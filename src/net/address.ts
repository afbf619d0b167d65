/**
 * Parses ports to listen on and targets to connect to.
 *
 * A target is a port on this machine, `host:port`, `[v6]:port`, or a gRPC address such as
 * `dns:///host:port` or `unix:/path`. Invalid ones are reported here, before anything is opened.
 *
 * @module
 */
import { isIP } from "node:net";
import { GreetError } from "../base/errors.ts";

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
  const port = /^\d+$/.test(text) ? Number(text) : NaN;
  if (port >= 0 && port <= 65535) return port;
  throw new GreetError("USAGE", `${JSON.stringify(text)} is not a port`, {
    hint: "a port is a number from 0 to 65535; 0 chooses a free one",
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
  if (/^\d+$/.test(text)) return endpointTarget(text, LOOPBACK, text);
  if (/^unix:./.test(text)) return { address: text };
  const scheme = /^(dns|ipv4|ipv6):(?!\d+$)/.exec(text)?.[0] ?? "";
  const [authority] = /^\/\/[^/]*\//.exec(text.slice(scheme.length)) ?? [""];
  checkNameServer(text, authority.slice(2, -1));
  const hostAndPort = text.slice(scheme.length + authority.length);
  const match = /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:/[\]]+)):(\d+)$/.exec(hostAndPort);
  if (match === null) throw notATarget(text, hostAndPort);
  const [, v6, host, port] = match;
  return { ...endpointTarget(text, v6 ?? host, port), address: text };
}

/** gRPC accepts only an address as the name server between the slashes of `dns://SERVER/host:port`. */
function checkNameServer(text: string, server: string): void {
  const [, v6, v4 = server] = /^\[(.+)\](?::\d+)?$/.exec(server) ?? [];
  if (server === "" || isIP(v6 ?? v4.replace(/:\d+$/, "")) === (v6 === undefined ? 4 : 6)) return;
  throw new GreetError(
    "USAGE",
    `${JSON.stringify(text)} does not name a DNS server by its address`,
    {
      hint: "write dns:///host:port, or dns://10.0.0.1/host:port to ask the DNS server 10.0.0.1",
    },
  );
}

function endpointTarget(text: string, host: string, portText: string): Target {
  const port = Number(portText);
  if (port < 1 || port > 65535) {
    throw new GreetError("USAGE", `${JSON.stringify(text)} has no valid port`, {
      hint: "a port to connect to is a number from 1 to 65535",
    });
  }
  return { address: formatEndpoint(host, port), endpoint: { host, port } };
}

function notATarget(text: string, hostAndPort: string): GreetError {
  const quoted = JSON.stringify(text);
  if (/^(\[[^\]]*\]|[^\s:/]+)$/.test(hostAndPort)) {
    return new GreetError("USAGE", `the target ${quoted} has no port`, {
      hint: `write ${hostAndPort}:PORT, or look it up on a naming service with --names`,
    });
  }
  return new GreetError("USAGE", `${quoted} is not a target`, {
    hint: "a target is a port, host:port, [v6]:port, dns:///host:port or unix:/path",
  });
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
