/**
 * Encodes and decodes packets of multicast DNS, on top of `dns-packet`, which is loaded with this
 * file. Packets that are none of our business are recognized before they are decoded, and what
 * decoding may cost is limited.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import dnsPacket from "dns-packet";
import { type LanMessage, type LanQuestion, type LanRecord, lowerCase, nameOf } from "./records.ts";

/** The largest packet that RFC 6762 allows (section 17), in bytes. */
const MAX_PACKET_BYTES = 9_000;

/** How many questions and records a packet may have; a full one of 1,500 bytes has about 50. */
const MAX_RECORDS = 128;

/** What fits into one packet on Ethernet beside the headers of IPv6 and UDP, in bytes. */
export const USUAL_BYTES = 1_440;

const HEADER_BYTES = 12;

/** What a malformed packet counts as; how much of it was decoded is not known. */
const MALFORMED_WORK = 20_000;

/** For how many hosts a packet is searched before it is decoded. */
const MAX_SEARCHED = 16;

/** Flags of a header, and of the class in questions and records. */
const FLAG = { response: 0x8000, opcode: 0x7800, truncated: 0x0200, authoritative: 0x0400 };

/** Stands for a dot inside a label: `dns-packet` would end the label there. No name contains it. */
const DOT = "\u0001";

/** The part of `dns-packet` that is used, as it is typed here. */
interface Codec {
  decode(bytes: Buffer): Record<"questions" | "answers" | "authorities" | "additionals", Decoded[]>;
  encode(packet: unknown): Buffer;
  record(type: string): { encode(data: unknown): Buffer };
}

/** A question or record as `dns-packet` decodes it. */
interface Decoded {
  readonly name: string;
  readonly type: string;
  readonly class: string;
  readonly ttl: number;
  readonly flush?: boolean;
  readonly data: unknown;
}

const codec = dnsPacket as unknown as Codec;

/**
 * Decodes a packet.
 *
 * @param hosts hosts whose addresses matter, in lower case; otherwise, packets must be about greet
 * @param spend called with the work that decoding was: the length of all names, compressed or not
 * @returns undefined for a packet that is malformed, too large or irrelevant
 */
export function decodePacket(
  packet: Uint8Array,
  hosts: ReadonlyMap<string, unknown> = new Map(),
  spend: (work: number) => void = () => {},
): LanMessage | undefined {
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.length);
  if (bytes.length < HEADER_BYTES || bytes.length > MAX_PACKET_BYTES) return undefined;
  const counts = [4, 6, 8, 10].map((at) => bytes.readUInt16BE(at));
  if (counts.reduce((sum, count) => sum + count) > MAX_RECORDS) return undefined;
  const flags = bytes.readUInt16BE(2);
  if ((flags & FLAG.opcode) !== 0 || !isRelevant(bytes, hosts)) return undefined;
  try {
    const { questions, answers, authorities, additionals } = codec.decode(bytes);
    spend(workOf([questions, answers, authorities, additionals].flat()));
    return {
      type: flags & FLAG.response ? "response" : "query",
      isTruncated: (flags & FLAG.truncated) !== 0,
      questions: questions.filter(isInternet).map(({ name, type }) => ({
        name,
        type,
      })) as LanQuestion[],
      answers: answers.flatMap(toRecord),
      authorities: authorities.flatMap(toRecord),
      additionals: additionals.flatMap(toRecord),
    };
  } catch {
    spend(MALFORMED_WORK);
    return undefined;
  }
}

function workOf(decoded: readonly Decoded[]): number {
  return decoded.reduce((sum, { name, data }) => {
    const { target } = (data ?? {}) as { target?: string };
    const text = typeof data === "string" ? data : target ?? "";
    return sum + name.length + text.length;
  }, 0);
}

/** Compression leaves the first occurrence of each name in a packet as it is. */
function isRelevant(bytes: Buffer, hosts: ReadonlyMap<string, unknown>): boolean {
  const text = lowerCase(bytes.toString("latin1"));
  if (text.includes("\x06_greet") || text.includes("\x09_services\x07_dns-sd")) return true;
  // Searching for many hosts would cost more than decoding.
  return hosts.size > MAX_SEARCHED ||
    [...hosts.keys()].some((host) => text.includes(host.split(".")[0]));
}

function isInternet(one: Decoded): boolean {
  return one.class === "IN" || one.class === "ANY";
}

/** Keeps records of the types that are used here. */
function toRecord(record: Decoded): LanRecord[] {
  const { name, type, ttl, data, flush = false } = record;
  if (!isInternet(record)) return [];
  switch (type) {
    case "PTR":
    case "A":
    case "AAAA":
      return [{ name, type, ttl, flush, data: data as string }];
    case "SRV": {
      const { target, port } = data as { target: string; port: number };
      return port === 0 ? [] : [{ name, type, ttl, flush, data: { target, port } }];
    }
    case "TXT":
      return [{ name, type, ttl, flush, data: data as Uint8Array[] }];
    default:
      return [];
  }
}

/** Encodes a packet. */
export function encodePacket({ type, isTruncated, ...lists }: LanMessage): Uint8Array {
  const labels = new Set<string>();
  const safely = (name: string) => {
    const label = nameOf(name);
    if (label === undefined || !label.includes(".")) return name;
    labels.add(label);
    return name.replace(label, label.replaceAll(".", DOT));
  };
  const safe = <T extends LanQuestion | LanRecord>(list: readonly T[] = []) =>
    list.map((one) => ({
      ...one,
      class: "IN",
      name: safely(one.name),
      ..."data" in one && { data: one.type === "PTR" ? safely(one.data) : wireData(one) },
    }));
  const bytes = codec.encode({
    type,
    flags: (type === "response" ? FLAG.authoritative : 0) | (isTruncated ? FLAG.truncated : 0),
    questions: safe(lists.questions),
    answers: safe(lists.answers),
    authorities: safe(lists.authorities),
    additionals: safe(lists.additionals),
  });
  for (const label of labels) restoreDots(bytes, label);
  return bytes;
}

function wireData(record: LanRecord): unknown {
  return record.type === "TXT" ? record.data.map((entry) => Buffer.from(entry)) : record.data;
}

function restoreDots(bytes: Buffer, label: string): void {
  const [safe, real] = [label.replaceAll(".", DOT), label].map((text) => Buffer.from(text));
  const found = Buffer.concat([Buffer.of(safe.length), safe]);
  for (let at = 0; (at = bytes.indexOf(found, at)) !== -1; at += found.length) {
    real.copy(bytes, at + 1);
  }
}

/** The types in the order of their numbers, by which RFC 6762 (section 8.2) compares records. */
const BY_NUMBER = ["A", "PTR", "TXT", "AAAA", "SRV"];

/**
 * Compares what two claimants of one name want to publish, as RFC 6762 (section 8.2) prescribes.
 *
 * @returns positive if the first wins, negative if the second does, 0 if both want the same
 */
export function compareClaims(one: readonly LanRecord[], other: readonly LanRecord[]): number {
  const [ours, theirs] = [one, other].map((records) =>
    records.map((record) => {
      const type = Buffer.of(BY_NUMBER.indexOf(record.type));
      const data = codec.record(record.type).encode(wireData(record)).subarray(2);
      return Buffer.concat([type, data]);
    }).sort(Buffer.compare)
  );
  for (let i = 0; i < Math.min(ours.length, theirs.length); i++) {
    const order = Buffer.compare(ours[i], theirs[i]);
    if (order !== 0) return order;
  }
  return ours.length - theirs.length;
}
