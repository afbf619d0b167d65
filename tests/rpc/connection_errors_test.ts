/** Explanations of failed connections, which must never advise to turn protection off by mistake. */
import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { GreetError, newIdentity } from "../../mod.ts";
import { readPem } from "../../src/net/certificates.ts";
import type { ErrorCode } from "../../src/base/errors.ts";
import { isAbsent } from "../../src/rpc/call_errors.ts";
import { type Channel, dial, dialAll, type DialOptions } from "../../src/rpc/client.ts";
import { serve } from "../../src/rpc/server.ts";
import { implement } from "../../src/rpc/service.ts";
import { parseTarget } from "../../src/net/address.ts";
import { GREETER, NAMES } from "../../src/rpc/services.ts";
import { GRPC_TIMERS_OUTLIVE_CHANNELS } from "../support/grpc_timers.ts";
import { Authority, hasOpenssl } from "../support/certificates.ts";
import { PATIENCE_MS } from "../support/waiting.ts";

function connectionTest(name: string, fn: () => Promise<void>, ignore = false): void {
  Deno.test({ name, fn, ignore, ...GRPC_TIMERS_OUTLIVE_CHANNELS });
}

const ALICE = await newIdentity("Alice");

/** The ways to protect a connection. */
const CALLERS: Record<string, DialOptions> = {
  plaintext: {},
  tls: { tls: {} },
  mutual: { tls: { own: ALICE } },
  peer: { own: ALICE },
};

/** Greets on a channel, and returns the error. */
async function failureOf(channel: Channel): Promise<GreetError> {
  const greeting = channel.call(GREETER, "Greet", { name: "Bob" }, { timeoutMs: PATIENCE_MS });
  const failure = await greeting.then(() => undefined, (error) => error);
  assert(failure instanceof GreetError, "a failure");
  return failure;
}

/** Listens on loopback. */
async function listening(server: net.Server | http2.Http2Server) {
  const sockets = new Set<net.Socket>();
  server.on("connection", (socket: net.Socket) => sockets.add(socket.on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return {
    port: (server.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

const INTERRUPTIONS: Record<string, (socket: net.Socket) => void> = {
  "closed at once": (socket) => socket.end(),
  "reset at once": (socket) => socket.resetAndDestroy(),
  "closed after the first bytes": (socket) => socket.once("data", () => socket.end()),
  "reset after the first bytes": (socket) => socket.once("data", () => socket.resetAndDestroy()),
};

for (const [what, interrupt] of Object.entries(INTERRUPTIONS)) {
  connectionTest(
    `a connection that is ${what} never leads to advice to turn protection off`,
    async () => {
      await using server = await listening(net.createServer(interrupt));
      for (const [caller, options] of Object.entries(CALLERS)) {
        using channel = dial(parseTarget(`${server.port}`), options);
        const { code, message, hint } = await failureOf(channel);
        assert.deepEqual([code, hint], ["UNAVAILABLE", undefined], caller);
        assert.match(message, /: the other side closed the connection (before|during) /, caller);
      }
    },
  );
}

connectionTest(
  "a server that answers TLS in plaintext leads to such advice, but never for peers",
  async () => {
    const settings = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);
    await using server = await listening(net.createServer((socket) => socket.write(settings)));
    for (const [caller, options] of Object.entries(CALLERS)) {
      if (caller === "plaintext") continue;
      using channel = dial(parseTarget(`${server.port}`), options);
      const { message, hint } = await failureOf(channel);
      assert.match(message, /: the other side does not speak TLS, and this side does$/, caller);
      assert.match(hint!, caller === "peer" ? /^(?!.*plaintext).*--tls/ : /--plaintext/, caller);
    }
  },
);

connectionTest("a server that closes HTTP/2 at once is not said not to speak gRPC", async () => {
  const settings = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);
  await using server = await listening(net.createServer((socket) => {
    socket.end(settings);
  }));
  using channel = dial(parseTarget(`${server.port}`));
  assert.doesNotMatch((await failureOf(channel)).message, /does not speak/);
});

connectionTest(
  "a peer that closes one connection and answers the next is not said to refuse our certificate",
  async () => {
    const tls = { own: await newIdentity("Bob"), isKnown: () => true };
    await using bob = await serve({ host: "127.0.0.1", port: 0, services: [], tls });
    let calls = 0;
    await using between = await listening(net.createServer((caller) => {
      if (calls++ === 0) return caller.resetAndDestroy();
      const callee = net.connect(bob.port, "127.0.0.1").on("error", () => {});
      caller.pipe(callee).pipe(caller);
    }));
    using channel = dial(parseTarget(`${between.port}`), { own: ALICE });
    const { code, message } = await failureOf(channel);
    assert.equal(code, "UNAVAILABLE");
    assert.match(message, /: the other side closed the connection before it was established$/);
    assert(calls > 1, "a second connection tells more");
  },
);

connectionTest(
  "a call on a channel that has failed to connect fails for the same reason",
  async () => {
    const probed = Promise.withResolvers<void>();
    let connections = 0;
    await using server = await listening(net.createServer((socket) => {
      if (connections++ === 0) return socket.resetAndDestroy();
      probed.resolve();
    }));
    using channel = dial(parseTarget(`${server.port}`));
    const first = failureOf(channel);
    // The failure is still being explained: the probe waits for an answer.
    await probed.promise;
    const failures = [await failureOf(channel), await first, await failureOf(channel)];
    assert.deepEqual(failures.map(({ code, message }) => `${code} ${message}`), [
      ...Array(3).fill(
        `UNAVAILABLE 127.0.0.1:${server.port}: the other side closed the connection before it was established`,
      ),
    ]);
    const stream = channel.stream(NAMES, "Watch", { name: "" }, { timeoutMs: PATIENCE_MS });
    await assert.rejects(stream.next(), { code: "UNAVAILABLE", message: failures[0].message });
  },
);

connectionTest("a call on a channel that has been disposed of fails with a reason", async () => {
  const channel = dial(parseTarget("127.0.0.1:1"));
  channel[Symbol.dispose]();
  const { code, message } = await failureOf(channel);
  assert.deepEqual([code, message], ["UNAVAILABLE", "127.0.0.1:1: connection lost"]);
});

const LIES = [
  "No connection established. Last error: Error: connect ECONNREFUSED 127.0.0.1:1",
  "No connection established. Last error: wrong version number",
  "certificate",
  "wrong version number",
  "received fatal alert: CertificateRequired",
];

connectionTest(
  "error messages of a server are neither explained nor followed by advice",
  async () => {
    let lie = "";
    const greeter = implement(GREETER, {
      Greet() {
        throw new GreetError("UNAVAILABLE", lie);
      },
    });
    await using server = await serve({ host: "127.0.0.1", port: 0, services: [greeter] });
    for (lie of LIES) {
      using channel = dial(parseTarget(`${server.port}`));
      const failure = await failureOf(channel);
      assert.equal(failure.message, `127.0.0.1:${server.port}: ${lie}`);
      assert.equal(failure.hint, undefined);
      assert(!isAbsent(failure));
      // The channel stays open: only a failed connection closes it.
      assert.equal((await failureOf(channel)).message, failure.message);
    }
  },
);

const LIBRARY_WORDS: readonly [words: string, code: ErrorCode][] = [
  ["enter idle", "UNAVAILABLE"],
  ["max_age", "UNAVAILABLE"],
  ["Socket closed", "UNAVAILABLE"],
  ["transport is closing", "UNAVAILABLE"],
  ["Received RST_STREAM with code 2 (Internal server error)", "INTERNAL"],
];

connectionTest(
  "messages of gRPC libraries about broken connections are explained",
  async () => {
    let words = "";
    let code: ErrorCode = "UNAVAILABLE";
    const greeter = implement(GREETER, {
      Greet() {
        throw new GreetError(code, words);
      },
    });
    await using server = await serve({ host: "127.0.0.1", port: 0, services: [greeter] });
    for ([words, code] of LIBRARY_WORDS) {
      using channel = dial(parseTarget(`${server.port}`));
      assert.equal((await failureOf(channel)).message, `127.0.0.1:${server.port}: connection lost`);
    }
  },
);

for (const status of [404, 503]) {
  connectionTest(
    `a server of web pages that answers ${status} is said not to speak gRPC`,
    async () => {
      await using server = await listening(
        http2.createServer((_, response) => response.writeHead(status).end()),
      );
      using channel = dial(parseTarget(`${server.port}`));
      const { message } = await failureOf(channel);
      const reason = `the answer is not gRPC, but HTTP status ${status}`;
      assert.equal(message, `127.0.0.1:${server.port}: ${reason}`);
    },
  );
}

connectionTest(
  "each server that shares a name must have a certificate for its own host (needs openssl)",
  async () => {
    await using authority = await Authority.create();
    const trusted = readPem(authority.cert, "certificate");
    const greeter = implement(GREETER, { Greet: ({ name }) => ({ greeting: `Hello, ${name}.` }) });
    const named = await authority.issue("named", 1, "DNS:localhost");
    await using server = await serve({
      host: "127.0.0.1",
      port: 0,
      services: [greeter],
      tls: named,
    });
    const call = async (...addresses: string[]) => {
      async function* servers() {
        yield addresses.map(parseTarget);
        await new Promise(() => {});
      }
      using channel = dialAll("greeter", servers(), { tls: { trusted } });
      const options = { timeoutMs: PATIENCE_MS };
      return await channel.call(GREETER, "Greet", { name: "Bob" }, options);
    };
    assert.equal((await call(`localhost:${server.port}`)).greeting, "Hello, Bob.");
    // The certificate is for the first of these hosts, but the second one is reached.
    await assert.rejects(call("localhost:1", `127.0.0.1:${server.port}`), {
      code: "UNAVAILABLE",
      message: /^greeter: (the certificate is for another host|connection refused)$/,
    });
  },
  !hasOpenssl,
);
