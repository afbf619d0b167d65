/**
 * Floods the local network with packets: `COUNT` of them, new names, contradictions of known ones and
 * nonsense in turn. Says `flooding` first.
 */
import { createSocket } from "node:dgram";
import { readInterfaces } from "../../src/naming/lan/interfaces.ts";
import { encodePacket } from "../../src/naming/lan/packets.ts";
import { addressRecords, instanceRecords, type LanMessage } from "../../src/naming/lan/records.ts";

/** Records with which someone at no address says to be a holder. */
function announce(name: string, host: string): LanMessage {
  const { own, common } = instanceRecords({ name, address: "" }, 5555, host);
  const answers = [...common, ...own, ...addressRecords(host, ["10.9.0.250"])];
  return { type: "response", questions: [], answers };
}

function packet(i: number): Uint8Array {
  const host = `h${i}.local`;
  if (i % 3 === 0) return encodePacket(announce(`Flood ${i}`, host));
  // Of a name that no one else wants: a contradiction of Alice would rightly move Bob.
  if (i % 3 === 1) return encodePacket(announce("Mallory", host));
  const bytes = encodePacket(announce(`Nonsense ${i}`, host));
  return crypto.getRandomValues(bytes.subarray(30)) && bytes;
}

const socket = createSocket("udp4");
await new Promise<void>((resolve) => socket.bind(0, "0.0.0.0", () => resolve()));
const [{ v4 }] = readInterfaces();
socket.setMulticastInterface(v4!);
console.log("flooding");
for (let i = 0; i < Number(Deno.args[0]); i++) {
  await new Promise<void>((resolve, reject) =>
    socket.send(packet(i), 5353, "224.0.0.251", (error) => error ? reject(error) : resolve())
  );
}
socket.close();
