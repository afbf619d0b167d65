/**
 * How each kind of fault is done to a process. Each function resolves when the fault is over and the
 * process can recover.
 *
 * @module
 */
import net from "node:net";
import { dirname, join } from "node:path";
import { canInject } from "../../../tests/support/disk_faults.ts";
import { journalFile } from "../../../src/peer/journal_file.ts";
import { pause } from "../../../src/base/timing.ts";
import { FROM_ANY_HOST, FROM_NAMES, type Host } from "../vanish.ts";
import type { Member } from "./cast.ts";
import { type Fault, oneOf, type Step } from "./plan.ts";

/** How long a process may take to start, in milliseconds. */
const START_MS = 30_000;

/** One way in which a fault can happen to some processes. */
interface Harm {
  readonly way: string;
  /** Whether it can happen to a process. */
  readonly hits: (member: Member) => boolean;
  readonly perform: (member: Member, ms: number) => Promise<void>;
}

/** A fault that has been chosen: what it is, whom it hits, and how to do it. */
export interface Attack {
  readonly what: string;
  readonly target: Member;
  readonly perform: () => Promise<void>;
}

/** Chooses the process and the way of a step. */
export function choose({ fault, target, way, lastsMs }: Step, members: readonly Member[]): Attack {
  const hit = oneOf(
    members.filter((member) => HARMS[fault].some(({ hits }) => hits(member))),
    target,
  );
  const harm = oneOf(HARMS[fault].filter(({ hits }) => hits(hit)), way);
  const seconds = (lastsMs / 1_000).toFixed(1);
  return {
    what: `${fault}: ${hit.actor.name} ${harm.way} (${seconds} s)`,
    target: hit,
    perform: () => harm.perform(hit, lastsMs),
  };
}

/** Which faults can happen here; the others need what this machine lacks. */
export function isPossible(fault: Fault): boolean {
  return fault !== "disk" || canInject;
}

const isMortal = ({ isMortal }: Member) => isMortal;
const isAny = () => true;
const isChat = ({ kind }: Member) => kind === "chat";

const KILLS: Harm[] = [{
  way: "is killed and comes back",
  hits: isMortal,
  async perform(member, ms) {
    await member.actor.kill();
    await pause(ms);
    await startAgain(member);
  },
}, {
  way: "is killed and comes back at once",
  hits: isMortal,
  async perform(member) {
    await member.actor.kill();
    await startAgain(member);
  },
}];

/** Resolves when the process listens, because strangers who come earlier would be refused. */
async function startAgain({ actor, host }: Member): Promise<void> {
  actor.start();
  if (host === undefined) return;
  const giveUp = performance.now() + START_MS;
  while (!await isListening(host)) {
    if (performance.now() > giveUp) throw new Error(`not listening within ${START_MS} ms`);
    await pause(100);
  }
}

async function isListening({ port }: Host): Promise<boolean> {
  const socket = net.connect(Number(port), "127.0.0.1").on("error", () => {});
  const isConnected = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true)).once("close", () => resolve(false));
  });
  socket.destroy();
  return isConnected;
}

const STOPS: Harm[] = [{
  way: "is suspended and resumed",
  hits: isAny,
  async perform({ actor }, ms) {
    actor.signal("SIGSTOP");
    await pause(ms);
    actor.signal("SIGCONT");
  },
}];

const NETWORK: Harm[] = [{
  way: "loses all connections",
  hits: isAny,
  perform: ({ proxy }) => Promise.resolve(proxy.reset()),
}, {
  way: "cannot be reached",
  hits: isAny,
  async perform({ proxy }, ms) {
    proxy.refuse();
    await pause(ms);
    proxy.heal();
  },
}, {
  way: "is cut off without notice",
  hits: isAny,
  async perform({ proxy }, ms) {
    proxy.stall();
    await pause(ms);
    proxy.heal();
  },
}, {
  way: "is cut off, and then loses all connections",
  hits: isAny,
  async perform({ proxy }, ms) {
    proxy.stall();
    await pause(ms);
    proxy.reset();
    proxy.heal();
  },
}];

const STRANGERS: Harm[] = [FROM_ANY_HOST, FROM_NAMES].flatMap((ways) =>
  Object.entries(ways).map(([way, perform]) => ({
    way: `meets a stranger who ${way}`,
    hits: ({ host, kind }) => host !== undefined && (ways === FROM_ANY_HOST || kind === "names"),
    perform: ({ host }) => perform(host!),
  }))
);

/** Failures of a disk that works for a while: the calls, and what becomes of them. */
const DISK_FAILURES = [
  { calls: "pwrite64", effect: "error=ENOSPC", when: "1+" },
  { calls: "pwrite64", effect: "error=EIO", when: "2+3" },
  { calls: "fsync,fdatasync", effect: "error=EIO", when: "1+" },
  { calls: "fsync,fdatasync", effect: "error=EIO", when: "2+3" },
  { calls: "pread64", effect: "error=EIO", when: "1+" },
  { calls: "pwrite64,fsync,fdatasync", effect: "delay_enter=200000", when: "1+" },
  { calls: "pwrite64,fsync,fdatasync", effect: "error=EINTR", when: "2+3" },
];

const DISKS: Harm[] = [
  ...DISK_FAILURES.map(({ calls, effect, when }): Harm => ({
    way: `has a disk with ${effect} in ${calls}, when=${when}`,
    hits: isChat,
    async perform({ actor }, ms) {
      const base = journalFile(actor.home, actor.name);
      const paths = ["", "-wal", "-shm"].flatMap((end) => ["-P", base + end]);
      const inject = ["-e", `trace=${calls}`, "-e", `inject=${calls}:${effect}:when=${when}`];
      const args = ["-f", "-qq", "-o", "/dev/null", ...paths, ...inject, "-p", `${actor.pid}`];
      const strace = new Deno.Command("strace", { args, stdin: "null", stderr: "null" }).spawn();
      await pause(ms);
      strace.kill("SIGINT");
      await strace.status;
    },
  })),
  {
    way: "has a full disk",
    hits: ({ hasSmallDisk }) => hasSmallDisk,
    async perform({ actor }, ms) {
      const path = join(dirname(journalFile(actor.home, actor.name)), "ballast");
      await fill(path);
      await pause(ms);
      await Deno.remove(path);
    },
  },
];

/** Writes a file until the disk is full. */
async function fill(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true });
  for (const size of [1_000_000, 1_000]) {
    const bytes = new Uint8Array(size);
    try {
      for (;;) await file.write(bytes);
    } catch {
      // Full: the next size fills what is left.
    }
  }
}

const HARMS: Readonly<Record<Fault, readonly Harm[]>> = {
  disk: DISKS,
  kill: KILLS,
  stop: STOPS,
  network: NETWORK,
  hostile: STRANGERS,
};
