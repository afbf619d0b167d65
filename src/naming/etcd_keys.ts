/**
 * The layout of names in etcd: keys, values, and the ids of leases. There is no network here.
 *
 * A name with one holder is the key `<prefix><name>/holder`, or `…/holder+` and the fingerprint of
 * the holder's key; a shared name has a key for each address, `<prefix><name>/<address>`. Go's naming
 * resolver reads and writes the same (etcd-io/etcd, `client/v3/naming`).
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { NameClaim, NamedEntry } from "./naming_service.ts";
import { isEndpoint } from "../net/address.ts";
import { isFingerprint, nameProblem } from "../base/text.ts";
import type { EtcdKeyValue, EtcdRange } from "./etcd_services.ts";

/** The last part of the key of a name with one holder. */
const HOLDER = "holder";

/** The same, followed by a fingerprint. No address contains a `+`. */
const HOLDER_WITH = `${HOLDER}+`;

/** Ends the range of both: `,` comes after `+`, and before any character that continues an address. */
const HOLDERS_END = `${HOLDER},`;

/** Encodes a key. */
export function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** The keys below a prefix. */
export class EtcdLayout {
  readonly #prefix: string;

  /** @param prefix the prefix of all keys: empty, or ends with a slash */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** The key of a claim. It contains the fingerprint because the value cannot: see {@link toValue}. */
  key({ name, address, shared, fingerprint }: NameClaim): string {
    const holder = fingerprint === undefined ? HOLDER : HOLDER_WITH + fingerprint;
    return `${this.#prefix}${name}/${shared ? address : holder}`;
  }

  /** The keys that must not exist for a claim to succeed. */
  contested({ name, shared }: NameClaim): EtcdRange {
    if (!shared) return this.range(name);
    const parent = `${this.#prefix}${name}/`;
    return { key: encode(parent + HOLDER), rangeEnd: encode(parent + HOLDERS_END) };
  }

  /**
   * The keys of one name, or of all names.
   *
   * @throws {GreetError} `INVALID_ARGUMENT` for a bad name
   */
  range(name?: string): EtcdRange {
    const problem = name === undefined ? undefined : nameProblem(name);
    if (problem !== undefined) throw new GreetError("INVALID_ARGUMENT", `the name ${problem}`);
    const parent = name === undefined ? this.#prefix.slice(0, -1) : `${this.#prefix}${name}`;
    // In etcd, the range from \0 to \0 is everything. The character after a slash is a zero.
    if (parent === "") return { key: encode("\0"), rangeEnd: encode("\0") };
    return { key: encode(`${parent}/`), rangeEnd: encode(`${parent}0`) };
  }

  /** The entry of a key and its value; undefined if they are something else, or break the rules. */
  entry({ key, value, lease }: EtcdKeyValue): NamedEntry | undefined {
    const path = decode(key).slice(this.#prefix.length);
    const slash = path.indexOf("/");
    const name = path.slice(0, slash);
    const address = addressIn(decode(value));
    if (slash === -1 || nameProblem(name) !== undefined || address === undefined) return undefined;
    const since = sinceOf(lease);
    const entry = { name, address, ...since && { since } };
    const id = path.slice(slash + 1);
    if (!id.startsWith(HOLDER_WITH)) return { ...entry, shared: id !== HOLDER };
    const fingerprint = id.slice(HOLDER_WITH.length);
    return isFingerprint(fingerprint) ? { ...entry, shared: false, fingerprint } : undefined;
  }
}

/** The key as text. */
export function keyOf({ key }: Pick<EtcdKeyValue, "key">): string {
  return decode(key);
}

/** The value that Go's resolver expects; older versions of it fail with any other `Metadata`. */
export function toValue(address: string): Uint8Array {
  return encode(JSON.stringify({ Op: 0, Addr: address, Metadata: null }));
}

function addressIn(value: string): string | undefined {
  try {
    const { Addr } = JSON.parse(value);
    return typeof Addr === "string" && isEndpoint(Addr) ? Addr : undefined;
  } catch {
    return undefined;
  }
}

/** The random bits of a lease's id; the others are milliseconds since 1970, until 2039. */
const RANDOM_BITS = 22n;

/** Makes a unique id for a new lease, which contains the time. */
export function newLeaseId(): string {
  const [random] = crypto.getRandomValues(new Uint32Array(1));
  const bits = BigInt(random) >> (32n - RANDOM_BITS);
  return `${BigInt(Date.now()) << RANDOM_BITS | bits}`;
}

const DAY_MS = 24 * 3600 * 1000;

/** When a lease was made; undefined if its id is not from {@link newLeaseId}. */
export function sinceOf(lease: string): Date | undefined {
  const ms = Number(BigInt(lease) >> RANDOM_BITS);
  const isPlausible = ms > Date.UTC(2020) && ms < Date.now() + DAY_MS;
  return isPlausible ? new Date(ms) : undefined;
}

/** The next revision. */
export function after(revision: string): string {
  return `${BigInt(revision) + 1n}`;
}
