/** A request that is not gRPC is answered as gRPC over HTTP/2 demands. */
import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import { greet, serveGreeter } from "../../mod.ts";
import { inTime } from "../support/waiting.ts";

/** Opens calls on a connection of its own. */
async function client(port: number) {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  await once(session, "connect");
  const request = (headers: http2.OutgoingHttpHeaders) =>
    session.request({
      ":method": "POST",
      ":path": "/greet.v1.Greeter/Greet",
      "content-type": "application/grpc",
      ...headers,
    }, { endStream: false });
  return {
    request,
    /** The headers of the answer to a request. */
    async answer(headers: http2.OutgoingHttpHeaders): Promise<http2.IncomingHttpHeaders> {
      const stream = request(headers);
      const [answer] = await inTime(once(stream, "response"), "an answer");
      stream.close();
      return answer;
    },
    [Symbol.dispose]: () => session.destroy(),
  };
}

Deno.test("a request that is not POST or not gRPC gets 405 or 415", async () => {
  await using server = await serveGreeter();
  using caller = await client(server.port);
  assert.equal((await caller.answer({ ":method": "GET" }))[":status"], 405);
  assert.equal((await caller.answer({ "content-type": "text/plain" }))[":status"], 415);
});

Deno.test("a malformed timeout is refused", async () => {
  await using server = await serveGreeter();
  using caller = await client(server.port);
  for (const timeout of ["soon", "10", "-1S", "100000000S", "1 S", ""]) {
    const answer = await caller.answer({ "grpc-timeout": timeout });
    assert.equal(answer["grpc-status"], "13", timeout);
  }
});

Deno.test("a call whose timeout is longer than a timer does not end at once", async () => {
  await using server = await serveGreeter();
  using caller = await client(server.port);
  for (const timeout of ["720H", "99999999H", "99999999S", "40000M"]) {
    const path = "/grpc.health.v1.Health/Watch";
    const stream = caller.request({ ":path": path, "grpc-timeout": timeout });
    stream.end(new Uint8Array(5));
    await inTime(once(stream, "data"), "the state of the server");
    // A timer that expired at once would have fired before this greeting.
    assert.equal(await greet(`${server.port}`, "Bob"), "Hello, Bob.");
    assert(!stream.closed && !stream.readableEnded, timeout);
    stream.close();
  }
});
