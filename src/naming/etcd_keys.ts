/**
 * How names lie in etcd: which keys, which values, and what a lease's id tells.
 *
 * Everything of a name is below `<prefix><name>/`: one key where it is held alone, `holder` or
 * `holder+` and the fingerprint of its holder's key, else a key for each address. That and the
 * values are what etcd's own naming resolver for Go writes and reads (etcd-io/etcd,
 * `client/v3/naming`); there is no network here.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { NameClaim, NamedEntry } from "./names.ts";
import { isEndpoint } from "../net/address.ts";
import { isFingerprint, nameProblem } from "../base/text.ts";
import type { EtcdKeyValue, EtcdRange } from "./etcd_services.ts";

/** The id of those who hold a name alone. */
const HOLDER = "holder";

/** What comes before the fingerprint in the id of those who have told it; no address has a `+`. */
const HOLDER_WITH = `${HOLDER}+`;

/** Ends the range of both: `,` comes after `+`, and before all that an address can go on with. */
const HOLDERS_END = `${HOLDER},`;

/** The bytes of a key. */
export function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Which keys are whose, below a prefix that is empty or ends with a slash. */
export class EtcdLayout {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** The key that a claim is for. It, and not the value, has the fingerprint: see {@link toValue}. */
  key({ name, address, shared, fingerprint }: NameClaim): string {
    const holder = fingerprint === undefined ? HOLDER : HOLDER_WITH + fingerprint;
    return `${this.#prefix}${name}/${shared ? address : holder}`;
  }

  /** The keys that must not be there when a claim is made. */
  contested({ name, shared }: NameClaim): EtcdRange {
    if (!shared) return this.range(name);
    const parent = `${this.#prefix}${name}/`;
    return { key: encode(parent + HOLDER), rangeEnd: encode(parent + HOLDERS_END) };
  }

  /**
   * The keys of one name, or of all.
   *
   * @throws {GreetError} `INVALID_ARGUMENT` for a bad name
   */
  range(name?: string): EtcdRange {
    const problem = name === undefined ? undefined : nameProblem(name);
    if (problem !== undefined) throw new GreetError("INVALID_ARGUMENT", `the name ${problem}`);
    const parent = name === undefined ? this.#prefix.slice(0, -1) : `${this.#prefix}${name}`;
    // To etcd, from \0 to \0 is everything. The character after a slash is a zero.
    if (parent === "") return { key: encode("\0"), rangeEnd: encode("\0") };
    return { key: encode(`${parent}/`), rangeEnd: encode(`${parent}0`) };
  }

  /** What a key and its value say; nothing where they break the rules, or are about something else. */
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

/** The key as text, to tell keys apart by. */
export function keyOf({ key }: Pick<EtcdKeyValue, "key">): string {
  return decode(key);
}

/** What etcd's resolver for Go reads an address from; older ones fail on any other `Metadata`. */
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

/** How many bits of a lease's id are random; the others are milliseconds since 1970, until 2039. */
const RANDOM_BITS = 22n;

/** An id for a new lease, which tells when it was made and is nobody else's. */
export function newLeaseId(): string {
  const [random] = crypto.getRandomValues(new Uint32Array(1));
  const bits = BigInt(random) >> (32n - RANDOM_BITS);
  return `${BigInt(Date.now()) << RANDOM_BITS | bits}`;
}

const DAY_MS = 24 * 3600 * 1000;

/** Since when there is a lease; nothing where its id cannot be one of {@link newLeaseId}. */
export function sinceOf(lease: string): Date | undefined {
  const ms = Number(BigInt(lease) >> RANDOM_BITS);
  const isPlausible = ms > Date.UTC(2020) && ms < Date.now() + DAY_MS;
  return isPlausible ? new Date(ms) : undefined;
}

/** The revision after one. */
export function after(revision: string): string {
  return `${BigInt(revision) + 1n}`;
}
