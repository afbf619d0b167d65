/** Peers that are slow or far away are met, stay, and get all messages. */
import assert from "node:assert/strict";
import net from "node:net";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { pause } from "../../src/base/timing.ts";
import { CHAT } from "../../src/rpc/services.ts";
import { Bot } from "../support/bot.ts";
import { freePorts } from "../support/ports.ts";
import { inTime } from "../support/waiting.ts";

/** A proxy in front of a port that delays everything by some milliseconds each way. */
async function delayed(port: string, ms: number): Promise<{ port: string } & AsyncDisposable> {
  const sockets = new Set<net.Socket>();
  const ended = new AbortController();
  const forward = (from: net.Socket, to: net.Socket) => {
    sockets.add(from);
    from.on("error", () => {});
    from.on("data", async (chunk) => {
      await pause(ms, ended.signal);
      if (to.writable) to.write(chunk);
    });
    from.on("close", () => {
      sockets.delete(from);
      to.destroy();
    });
  };
  const server = net.createServer((near) => {
    const far = net.connect(Number(port), "127.0.0.1");
    forward(near, far);
    forward(far, near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: `${(server.address() as net.AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      ended.abort();
      sockets.forEach((socket) => socket.destroy());
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Bob in another language: slow to introduce himself, and slow with each message. */
async function slowBob(infoMs: (call: number) => number, messageMs: number) {
  const received: string[] = [];
  const secondAnswer = Promise.withResolvers<void>();
  let calls = 0;
  const server = await serve({
    host: "127.0.0.1",
    port: 0,
    services: [implement(CHAT, {
      async GetInfo() {
        const call = calls++;
        await pause(infoMs(call));
        if (call === 1) secondAnswer.resolve();
        return { sender: "Bob", body: "", id: "", timestamp: null };
      },
      async SendMessage({ body }, { signal }) {
        await pause(messageMs, signal);
        received.push(body);
        return {};
      },
      async SendMessages({ messages }, { signal }) {
        await pause(messageMs * messages.length, signal);
        if (!signal.aborted) received.push(...messages.map(({ body }) => body));
        return {};
      },
    })],
  });
  return {
    port: `${server.port}`,
    received,
    secondAnswer: secondAnswer.promise,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

async function meetsFarPeer(): Promise<void> {
  const [a, b] = freePorts();
  await using farA = await delayed(a, 1_500);
  await using farB = await delayed(b, 1_500);
  await using alice = new Bot(["Alice", a, farB.port]);
  await using bob = new Bot(["Bob", b, farA.port]);
  await alice.say("hello from far away");
  await bob.until("message");
  await alice.until("delivered");
}

async function keepsSlowPeer(): Promise<void> {
  await using bob = await slowBob((call) => call === 0 ? 1_800 : 3_300, 0);
  await using alice = new Bot(["Alice", "0", bob.port]);
  await alice.until("welcome");
  // A peer that was fast before would not be given that long.
  await inTime(bob.secondAnswer, "a second answer");
  await alice.say("still there?");
  await alice.until("delivered");
  assert.deepEqual(alice.all("left"), []);
}

async function deliversToSlowPeer(): Promise<void> {
  await using bob = await slowBob(() => 0, 100);
  await using alice = new Bot(["Alice", "0", bob.port]);
  const bodies = Array.from({ length: 60 }, (_, i) => `${i}`);
  await alice.say(...bodies);
  await alice.until("delivered", bodies.length);
  assert.deepEqual(bob.received, bodies);
}

Deno.test("peers that are far away or slow are met, stay, and get all messages", async () => {
  await Promise.all([meetsFarPeer(), keepsSlowPeer(), deliversToSlowPeer()]);
});
