/**
 * What names are in DNS-SD (RFC 6763) on multicast DNS (RFC 6762): which records a claim publishes,
 * and how records are compared and told apart. `packets.ts` puts them on the wire.
 *
 * A name is a service instance. Each holder has an SRV record of it; several holders of a shared name
 * have one each, which RFC 2782 allows and clients choose from.
 *
 * @module
 */
import { isFingerprint } from "../../base/text.ts";
import type { NameClaim } from "../naming_service.ts";

/** The service type of everything that `greet` registers. */
export const SERVICE = "_greet._tcp.local";

/** Lists the service types on a network (RFC 6763, section 9). */
const ALL_SERVICES = "_services._dns-sd._udp.local";

/** The longest label in DNS, in bytes. */
const MAX_LABEL_BYTES = 63;

/** Times to live in seconds, as RFC 6762 (section 10) recommends: with and without a host. */
export const TTL = { host: 120, other: 4_500 };

/** A DNS record of a type that is used here. */
export type LanRecord =
  & {
    readonly name: string;
    /** How long it is valid, in seconds; 0 takes it back. */
    readonly ttl: number;
    /** Whether it replaces all other records of this name and type. */
    readonly flush?: boolean;
  }
  & (
    | { readonly type: "PTR"; readonly data: string }
    | { readonly type: "SRV"; readonly data: { readonly target: string; readonly port: number } }
    | { readonly type: "TXT"; readonly data: readonly Uint8Array[] }
    | { readonly type: "A" | "AAAA"; readonly data: string }
  );

/** A question for records of one name. */
export interface LanQuestion {
  readonly name: string;
  readonly type: LanRecord["type"] | "ANY";
}

/** A query or a response. */
export interface LanMessage {
  readonly type: "query" | "response";
  /** Whether more known answers follow in another packet. */
  readonly isTruncated?: boolean;
  readonly questions: readonly LanQuestion[];
  readonly answers: readonly LanRecord[];
  /** In a query: the records that its sender wants to publish. */
  readonly authorities?: readonly LanRecord[];
  readonly additionals?: readonly LanRecord[];
}

/** DNS ignores the case of ASCII letters. */
export function lowerCase(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Whether two names are the same for DNS. */
export function isSameName(one: string, other: string): boolean {
  return one === other || lowerCase(one) === lowerCase(other);
}

/** Whether a record answers a question. */
export function answers(record: LanRecord, { name, type }: LanQuestion): boolean {
  return (type === "ANY" || type === record.type) && isSameName(record.name, name);
}

/** The instance that a name is in DNS. */
export function instanceOf(name: string): string {
  return `${name}.${SERVICE}`;
}

/** The name that an instance stands for; undefined for the instances of other services. */
export function nameOf(instance: string): string | undefined {
  const at = instance.length - SERVICE.length - 1;
  return at > 0 && isSameName(instance.slice(at), `.${SERVICE}`)
    ? instance.slice(0, at)
    : undefined;
}

/** Whether a name is too long for DNS. */
export function isTooLong(name: string): boolean {
  return bytesIn(name) > MAX_LABEL_BYTES;
}

/** How many bytes a text takes in a packet. */
export function bytesIn(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** A record's contents as text, for comparison. */
export function dataOf({ type, data }: LanRecord): string {
  switch (type) {
    case "PTR":
      return lowerCase(data);
    case "SRV":
      return `${lowerCase(data.target)}:${data.port}`;
    case "TXT":
      return data.map((entry) => `${entry.length} ${latin1(entry)}`).join();
    default:
      return data;
  }
}

/** Whether two records are of one name and type. */
export function isSameSet(one: LanRecord, other: LanRecord): boolean {
  return one.type === other.type && isSameName(one.name, other.name);
}

/** Whether two records say the same. */
export function isSameRecord(one: LanRecord, other: LanRecord): boolean {
  return isSameSet(one, other) && dataOf(one) === dataOf(other);
}

/** What a holder publishes on every network; its addresses differ between networks. */
export interface InstanceRecords {
  /** Its SRV and TXT records, of which no one else may have others unless the name is shared. */
  readonly own: readonly LanRecord[];
  /** Records that several holders may publish. */
  readonly common: readonly LanRecord[];
}

/**
 * The records of a claim, without addresses.
 *
 * @param host the host in DNS that stands for the holder
 * @param hostTtl how long what depends on the host is valid, in seconds
 */
export function instanceRecords(
  { name, fingerprint, shared = false }: NameClaim,
  port: number,
  host: string,
  hostTtl = TTL.host,
): InstanceRecords {
  const instance = instanceOf(name);
  const flush = !shared;
  const text = [
    "txtvers=1",
    ...shared ? ["shared"] : [],
    ...fingerprint ? [`fp=${fingerprint}`] : [],
  ];
  const data = text.map((entry) => new TextEncoder().encode(entry));
  return {
    own: [
      { name: instance, type: "SRV", ttl: hostTtl, flush, data: { target: host, port } },
      { name: instance, type: "TXT", ttl: TTL.other, flush, data },
    ],
    common: [
      { name: SERVICE, type: "PTR", ttl: TTL.other, data: instance },
      { name: ALL_SERVICES, type: "PTR", ttl: TTL.other, data: SERVICE },
    ],
  };
}

/** The records of a host's addresses. */
export function addressRecords(
  host: string,
  addresses: readonly string[],
  ttl = TTL.host,
): LanRecord[] {
  return addresses.map((data) => {
    return { name: host, type: data.includes(":") ? "AAAA" : "A", ttl, flush: true, data };
  });
}

/** What a TXT record says about a holder. The first entry of each key counts. */
export function holderIn(data: readonly Uint8Array[]): { fingerprint?: string; shared: boolean } {
  const entries = data.slice(0, 16).map(latin1);
  const isKey = (entry: string, key: string) => entry.replace(/=.*/s, "").toLowerCase() === key;
  const text = entries.find((entry) => isKey(entry, "fp"))?.slice("fp=".length);
  const shared = entries.some((entry) => isKey(entry, "shared"));
  return { shared, ...text !== undefined && isFingerprint(text) && { fingerprint: text } };
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
