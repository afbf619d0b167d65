/**
 * Options about naming services: checks them together, and opens the service that they mean.
 *
 * The service comes from `--names` or the environment. Its URL is parsed by `naming/service_url.ts`,
 * before anything is opened or loaded.
 *
 * @module
 */
import { type Arguments, quote } from "./arguments.ts";
import { GreetError } from "../base/errors.ts";
import type { Io } from "./io.ts";
import { warn } from "./reports.ts";
import type { Names } from "../naming/names.ts";
import { isExposed, isNearby, type NamingPlace, parsePlace } from "../naming/service_url.ts";
import type { Naming } from "../naming/open.ts";
import { isIP } from "../net/ip.ts";
import { formatEndpoint, isEndpoint, isLoopback, LOOPBACK } from "../net/address.ts";

/** The naming service to use, as it was typed; undefined for none. */
export function serviceText(input: Arguments, io: Io): string | undefined {
  // `--names ""` turns the environment's service off.
  return (input.string("names") ?? io.env("GREET_NAMES")) || undefined;
}

/**
 * The parsed address of the naming service; undefined for none.
 *
 * @throws {GreetError} `USAGE`, with the place where it was set, if it is invalid
 */
export function parsedService(input: Arguments, io: Io): NamingPlace | undefined {
  const text = serviceText(input, io);
  if (text === undefined) return undefined;
  try {
    return parsePlace(text, input.flag("plaintext"));
  } catch (error) {
    const { code, message, hint } = GreetError.from(error);
    const source = input.flag("names") ? "--names" : "GREET_NAMES";
    throw new GreetError(code, `${source}: ${message}`, { hint });
  }
}

/** The error for a name that cannot be looked up, because there is no naming service. */
export function noService(name: string): GreetError {
  return new GreetError(
    "USAGE",
    `${quote(name)} is a name, and no naming service is set to look it up`,
    {
      hint:
        "set one with --names or GREET_NAMES (greet names runs one), or write a port or host:port",
    },
  );
}

/**
 * Refuses options that need a naming service if there is none.
 *
 * @throws {GreetError} `USAGE`
 */
export function requireService(input: Arguments, io: Io): void {
  if (input.flag("advertise") && serviceText(input, io) === undefined) {
    throw input.usage("--advertise needs --names SERVICE", "it is the host to register there");
  }
  if (input.flag("cacert") && !parsedService(input, io)?.isSecure) {
    throw input.usage(
      "--cacert needs --names tls://HOST:PORT or etcds://HOST:PORT",
      "it verifies a naming service that is called over TLS",
    );
  }
}

/**
 * Everything that is needed to open the naming service, if there is one. Warns if others on the
 * network can change its answers.
 *
 * @throws {GreetError} `USAGE` for an invalid service, `FAILED` for unusable files
 */
export async function namingOf(input: Arguments, io: Io): Promise<Naming | undefined> {
  const [place, service] = [serviceText(input, io), parsedService(input, io)];
  if (place === undefined || service === undefined) return undefined;
  if (isExposed(service)) {
    warn(`not encrypted: anyone on the network can change the answers of ${place}`, io);
  }
  // Loaded now, for the same reason.
  if (service.kind === "lan") await (await import("../naming/lan.ts")).loadLan();
  const { readTrusted } = await import("../net/certificates.ts");
  // Read now, because a server gives up reading once it has started.
  const trusted = service.isSecure ? readTrusted(input.string("cacert")) : undefined;
  const [user, password] = [io.env("GREET_ETCD_USER"), io.env("GREET_ETCD_PASSWORD")];
  return { place, options: { user, password, trusted, plaintext: input.flag("plaintext") } };
}

/** Opens the naming service, of which there must be one. Throws what {@link namingOf} does. */
export async function openService(input: Arguments, io: Io): Promise<Names> {
  const [{ openNames }, naming] = await Promise.all([
    import("../naming/open.ts"),
    namingOf(input, io),
  ]);
  return openNames(naming!.place, naming!.options);
}

/** Whether names are registered on the local network. */
function isOnLan(input: Arguments, io: Io): boolean {
  return parsedService(input, io)?.kind === "lan";
}

/**
 * The host to listen on: this machine only, or every network if names are registered on the local
 * network.
 *
 * @throws {GreetError} `USAGE` for a host that the local network cannot reach
 */
export async function listeningHost(input: Arguments, io: Io): Promise<string> {
  const given = input.host("host");
  if (!isOnLan(input, io)) return given ?? LOOPBACK;
  if (given === undefined) return (await import("../naming/lan/interfaces.ts")).everyHost();
  if (isIP(given) !== 0 && !isLoopback(given)) return given;
  throw input.usage(
    `--host: others on the local network cannot call ${quote(given)}`,
    "leave --host out to listen on every network, or write an IP address of this machine",
  );
}

/**
 * The host that others should call. On the local network, a host that stands for every address is
 * replaced by the addresses of each network.
 *
 * @param host the host to listen on
 * @throws {GreetError} `USAGE` if no one could call it
 */
export function advertisedHost(input: Arguments, host: string, io: Io): string {
  const given = input.host("advertise");
  if (isOnLan(input, io)) {
    if (given === undefined || isIP(given) !== 0 && !isLoopback(given)) return given ?? host;
    throw input.usage(
      `--advertise: others on the local network cannot call ${quote(given)}`,
      "write an IP address of this machine, or leave --advertise out",
    );
  }
  if (given !== undefined && !isEndpoint(formatEndpoint(given, 1))) {
    throw input.usage(
      `--advertise: others cannot call ${quote(given)}`,
      "write the name or address of this machine",
    );
  }
  if (given !== undefined || !["0.0.0.0", "::"].includes(host)) return given ?? host;
  throw new GreetError("USAGE", `${host} is not an address that others can call`, {
    hint: "add --advertise HOST, the address of this machine that they should call",
  });
}

/** Whether the naming service is on this machine; true if there is none. */
export function isServiceLocal(input: Arguments, io: Io): boolean {
  const service = parsedService(input, io);
  return service === undefined || isNearby(service);
}

/** Reminds the user of `--host`, which is easily forgotten when other machines are involved. */
export function hintAboutHost(input: Arguments, host: string, io: Io): void {
  if (host !== LOOPBACK || input.flag("advertise")) return;
  io.stderr.line(`greet: hint: other machines cannot reach ${host}; see --host`);
}
