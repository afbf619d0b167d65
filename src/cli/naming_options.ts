/**
 * Naming services as users ask for them: what the options mean together.
 *
 * Which one is meant is in `--names` or the environment; what is to be known about it before
 * anything is opened is found out here. The service itself is loaded when it is used.
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
import { formatEndpoint, isEndpoint, LOOPBACK } from "../net/address.ts";

/** Which naming service is meant, if any. */
export function placeOfNames(input: Arguments, io: Io): string | undefined {
  // `--names ""` asks for none, whatever the environment says.
  return (input.string("names") ?? io.env("GREET_NAMES")) || undefined;
}

function parsed(input: Arguments, io: Io): NamingPlace | undefined {
  const place = placeOfNames(input, io);
  return place === undefined ? undefined : parsePlace(place, input.flag("plaintext"));
}

/**
 * Where only a naming service is called, options that are about it need one.
 *
 * @throws {GreetError} `USAGE` where there is none
 */
export function refuseIdleOptions(input: Arguments, io: Io): void {
  const place = parsed(input, io);
  if (input.flag("advertise") && place === undefined) {
    throw input.usage("--advertise needs --names SERVICE");
  }
  if (input.flag("cacert") && !place?.isSecure) {
    throw input.usage("--cacert needs --names tls://HOST:PORT or etcds://HOST:PORT");
  }
}

/**
 * What is needed to open the naming service that is meant. Says so where what it is asked can be read
 * on the way.
 *
 * @throws {GreetError} `USAGE` where it is none, `FAILED` for files that cannot be used
 */
export async function namingOf(input: Arguments, io: Io): Promise<Naming | undefined> {
  const place = placeOfNames(input, io);
  if (place === undefined) return undefined;
  if (isExposed(parsed(input, io)!)) {
    warn(`names at ${place} are not encrypted: whoever is on the network can change them`, io);
  }
  const cacert = input.string("cacert");
  const { readPem } = await import("../net/certificates.ts");
  const trusted = cacert === undefined ? undefined : readPem(cacert, "certificate");
  const [user, password] = [io.env("GREET_ETCD_USER"), io.env("GREET_ETCD_PASSWORD")];
  return { place, options: { user, password, trusted, plaintext: input.flag("plaintext") } };
}

/** Opens the naming service that is meant; there must be one. Errors are those of {@link namingOf}. */
export async function useNames(input: Arguments, io: Io): Promise<Names> {
  const [{ openNames }, naming] = await Promise.all([
    import("../naming/open.ts"),
    namingOf(input, io),
  ]);
  return openNames(naming!.place, naming!.options);
}

/**
 * The host under which others are told to call us.
 *
 * @param host where we listen
 * @throws {GreetError} `USAGE` where nobody could
 */
export function advertised(input: Arguments, host: string): string {
  const given = input.string("advertise");
  if (given !== undefined && !isEndpoint(formatEndpoint(given, 1))) {
    throw input.usage(`--advertise takes a host, not ${quote(given)}`);
  }
  if (given !== undefined || !["0.0.0.0", "::"].includes(host)) return given ?? host;
  const message = `nobody can call ${host}, which is every address of this machine`;
  const hint = "--advertise HOST says which one others are to call";
  throw new GreetError("USAGE", message, { hint });
}

/** Whether the naming service that is meant, if any, is on this machine. */
export function hasNamesNearby(input: Arguments, io: Io): boolean {
  const place = parsed(input, io);
  return place === undefined || isNearby(place);
}

/** Whoever deals with other machines and can be called from this one only may have forgotten it. */
export function hintAtHost(input: Arguments, host: string, io: Io): void {
  if (host !== LOOPBACK || input.flag("advertise")) return;
  io.stderr.line(`greet: hint: nobody on another machine can call ${host}; see --host`);
}
