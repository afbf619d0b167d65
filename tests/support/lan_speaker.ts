/**
 * Sends packets of multicast DNS with any contents on the machine it runs on: the records of each line
 * of JSON, or a goodbye for the holder of the name on it, as it was last heard of. Says `ready` first,
 * `sent` after each line, and after a `null` how many packets it has got.
 */
import { decodePacket, encodePacket } from "../../src/naming/lan/packets.ts";
import { LanSockets } from "../../src/naming/lan/sockets.ts";
import { type LanMessage, type LanRecord, nameOf, SERVICE } from "../../src/naming/lan/records.ts";

/** A record as a test writes it: texts of TXT records are strings. */
export type Spoken = Omit<LanRecord, "data"> & { readonly data: unknown };

/** The records with which someone says to be a holder of a name. */
export function holderRecords(
  name: string,
  address: string,
  { port = 55555, ttl = 120, flush = true, text = ["txtvers=1"] } = {},
): Spoken[] {
  const instance = `${name}.${SERVICE}`;
  const host = `${name.toLowerCase().replaceAll(/\W/g, "-")}-host.local`;
  const type = address.includes(":") ? "AAAA" : "A";
  return [
    { name: SERVICE, type: "PTR", ttl, data: instance },
    { name: instance, type: "SRV", ttl, flush, data: { target: host, port } },
    { name: instance, type: "TXT", ttl, flush, data: text },
    { name: host, type, ttl, flush, data: address },
  ];
}

if (import.meta.main) {
  const heard = new Map<string, LanRecord>();
  let count = 0;
  const onPacket = (packet: Uint8Array) => {
    count++;
    const { answers = [], additionals = [] } = decodePacket(packet) ?? {};
    for (const one of [...answers, ...additionals]) {
      if (one.type === "SRV") heard.set(nameOf(one.name)!, one);
    }
  };
  using sockets = new LanSockets({ onPacket, onNetworks() {} });
  await sockets.flushed();
  console.log("ready");
  const lines = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  let rest = "";
  for await (const text of lines) {
    const parts = (rest + text).split("\n");
    rest = parts.pop()!;
    for (const line of parts) {
      if (line === "null") {
        console.log(`heard ${count}`);
        continue;
      }
      const spoken = JSON.parse(line) as Spoken[] | string;
      const records = typeof spoken === "string" ? [{ ...heard.get(spoken)!, ttl: 0 }] : spoken;
      const answers = records.map((record) =>
        record.type === "TXT"
          ? {
            ...record,
            data: (record.data as string[]).map((one) => new TextEncoder().encode(one)),
          }
          : record
      ) as LanMessage["answers"];
      sockets.send(encodePacket({ type: "response", questions: [], answers }));
      await sockets.flushed();
      console.log("sent");
    }
  }
}
