/** Uses each private member of grpc-js on a real call: fails if a new version has moved one. */
import assert from "node:assert/strict";
import net from "node:net";
import { setImmediate } from "node:timers";
import "../../src/rpc/deno_http2_workaround.ts";
import * as grpc from "@grpc/grpc-js";
import {
  type Connector,
  type ConnectorArguments,
  connectorOf,
  CustomCredentials,
  encodingOf,
  type Http2Stream,
  type InterceptedCall,
  isSecure,
  onHttp2Server,
  passStream,
  refuseFlaggedMessages,
  streamBehind,
  streamOf,
  streamOfOutgoing,
} from "../../src/rpc/grpc_internals.ts";
import { inTime } from "../support/waiting.ts";

/** A call whose messages are bytes. */
const ECHO = {
  path: "/test.Echo/Echo",
  requestStream: false,
  responseStream: false,
  requestSerialize: (bytes: Buffer) => bytes,
  requestDeserialize: (bytes: Buffer) => bytes,
  responseSerialize: (bytes: Buffer) => bytes,
  responseDeserialize: (bytes: Buffer) => bytes,
};

/** Counts plaintext connections. */
class CountingCredentials extends CustomCredentials {
  count = 0;
  readonly #plaintext = grpc.credentials.createInsecure();

  constructor() {
    super(false);
  }

  protected override connector(...args: ConnectorArguments): Connector {
    const connector = connectorOf(this.#plaintext, ...args);
    return {
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
      connect: (socket) => {
        this.count++;
        return connector.connect(socket);
      },
    };
  }
}

/** A server that reports each call to an interceptor, and the metadata of its handler. */
async function echoServer(
  intercept: (call: InterceptedCall, metadata: grpc.Metadata) => void,
  handle: (metadata: grpc.Metadata) => void,
) {
  const interceptor: grpc.ServerInterceptor = (_, call) =>
    new grpc.ServerInterceptingCall(call, {
      start: (begin) =>
        begin({
          onReceiveMetadata(metadata, next) {
            intercept(call, metadata);
            next(metadata);
          },
        }),
    });
  const server = new grpc.Server({ interceptors: [interceptor] });
  server.addService({ Echo: ECHO }, {
    Echo(
      { metadata, request }: grpc.ServerUnaryCall<Buffer, Buffer>,
      answer: grpc.sendUnaryData<Buffer>,
    ) {
      handle(metadata);
      answer(null, request);
    },
  });
  const plaintext = grpc.ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(
      "127.0.0.1:0",
      plaintext,
      (error, port) => error ? reject(error) : resolve(port),
    )
  );
  return { port, [Symbol.dispose]: () => server.forceShutdown() };
}

/** Makes one call. */
async function echo(
  port: number,
  credentials: grpc.ChannelCredentials = new CountingCredentials(),
  options: grpc.ClientOptions = {},
): Promise<string> {
  const client = new grpc.Client(`127.0.0.1:${port}`, credentials, options);
  try {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    client.makeUnaryRequest(
      ECHO.path,
      ECHO.requestSerialize,
      ECHO.responseDeserialize,
      Buffer.from("hello"),
      new grpc.Metadata(),
      { deadline: Date.now() + 10_000 },
      (error, bytes) => error ? reject(error) : resolve(`${bytes}`),
    );
    return await inTime(promise, "an answer");
  } finally {
    client.close();
  }
}

Deno.test("the HTTP/2 server of a gRPC server is found before it accepts connections", () => {
  const server = new grpc.Server();
  const found: string[] = [];
  onHttp2Server(server, (http2) => found.push(typeof http2.prependListener));
  server.createConnectionInjector(grpc.ServerCredentials.createInsecure());
  server.forceShutdown();
  assert.deepEqual(found, ["function"]);
});

Deno.test("an interceptor and a handler find the HTTP/2 stream of their call", async () => {
  const streams: Http2Stream[] = [];
  const closed = Promise.withResolvers<void>();
  using server = await echoServer((call, metadata) => {
    streams.push(streamOf(call).once("close", () => closed.resolve()));
    passStream(call, metadata);
  }, (metadata) => {
    const stream = streamBehind(metadata);
    assert(stream !== undefined && !stream.closed);
    assert.equal(stream.id, 1);
    assert.equal(stream.session?.socket.localPort, server.port);
    streams.push(stream);
  });
  assert.equal(await echo(server.port), "hello");
  await inTime(closed.promise, "the end of the stream");
  const [intercepted, handled] = streams;
  assert.equal(handled, intercepted);
  assert(handled.closed);
});

Deno.test("a caller finds the HTTP/2 stream of its call once there is a connection", async () => {
  using server = await echoServer(() => {}, () => {});
  const credentials = grpc.credentials.createInsecure();
  const options = { "grpc.enable_retries": 0 };
  const client = new grpc.Client(`127.0.0.1:${server.port}`, credentials, options);
  const { path, requestSerialize, responseDeserialize } = ECHO;
  const [answered, found] = [Promise.withResolvers<void>(), Promise.withResolvers<unknown>()];
  const [request, metadata] = [Buffer.from("hello"), new grpc.Metadata()];
  const call = client.makeUnaryRequest(
    ...[path, requestSerialize, responseDeserialize, request, metadata] as const,
    () => answered.resolve(),
  );
  call.once("metadata", () => found.resolve(streamOfOutgoing(call)?.id));
  assert.equal(streamOfOutgoing(call), undefined);
  await inTime(answered.promise, "an answer");
  assert.equal(await found.promise, 1);
  client.close();
});

Deno.test("an interceptor sees how the request of a call is compressed", async () => {
  const encodings: string[] = [];
  using server = await echoServer((call) => encodings.push(encodingOf(call)), () => {});
  const gzip = { "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip };
  assert.equal(await echo(server.port), "hello");
  assert.equal(await echo(server.port, new CountingCredentials(), gzip), "hello");
  assert.deepEqual(encodings, ["identity", "gzip"]);
});

Deno.test("an interceptor refuses messages that are marked as compressed, and no others", async () => {
  const status = { code: grpc.status.INTERNAL, details: "compressed" };
  using server = await echoServer((call) => refuseFlaggedMessages(call, status), () => {});
  const gzip = { "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip };
  assert.equal(await echo(server.port), "hello");
  await assert.rejects(echo(server.port, new CountingCredentials(), gzip), status);
});

Deno.test("closing the HTTP/2 stream of a call resets the call", async () => {
  using server = await echoServer((call) => streamOf(call).close(11), () => {});
  await assert.rejects(echo(server.port), {
    code: grpc.status.RESOURCE_EXHAUSTED,
    details: /exhausted/,
  });
});

Deno.test("a call goes over a connection that custom credentials made", async () => {
  const credentials = new CountingCredentials();
  assert(!isSecure(credentials) && isSecure(grpc.credentials.createSsl()));
  using server = await echoServer(() => {}, () => {});
  assert.equal(await echo(server.port, credentials), "hello");
  assert.equal(credentials.count, 1);
});

Deno.test("a channel that is closed at once makes no connection", async () => {
  let connections = 0;
  const arrived = Promise.withResolvers<void>();
  const server = net.createServer((connection) => {
    connections++;
    connection.on("data", () => arrived.resolve()).on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  client.getChannel().getConnectivityState(true);
  client.close();
  // If it connects, it does so before another connection arrives.
  await new Promise((resolve) => setImmediate(resolve));
  const other = net.connect(port, "127.0.0.1");
  other.write("later");
  await inTime(arrived.promise, "the later connection");
  other.destroy();
  assert.equal(connections, 1);
  await new Promise<void>((resolve) => server.close(() => resolve()));
});
