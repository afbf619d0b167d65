/**
 * The cases of gRPC's interoperability tests, for this program's client. Source: grpc/grpc
 * `doc/interop-test-descriptions.md`.
 *
 * A {@link Channel} does not show the headers of an answer, so in `custom_metadata` grpc-js makes the
 * calls, over the program's own kind of connection: with its credentials and limits.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Channel, dial } from "../../src/rpc/client.ts";
import * as grpc from "@grpc/grpc-js";
import { GreetError } from "../../src/base/errors.ts";
import { HeaderLimits } from "../../src/http2/header_limits.ts";
import { parseTarget } from "../../src/net/address.ts";
import { type ClientTls, serverCredentials, WithLimits } from "../../src/rpc/credentials.ts";
import { definitionOf } from "../../src/rpc/service_definition.ts";
import {
  ECHO_INITIAL,
  ECHO_TRAILING,
  type InputRequest,
  type OutputRequest,
  type PayloadResponse,
  TEST_SERVICE,
  UNIMPLEMENTED_SERVICE,
} from "./interop.ts";
import { PATIENCE_MS } from "./waiting.ts";

/** The server that is tested. */
export interface TestServer {
  readonly address: string;
  readonly tls?: ClientTls;
}

type Case = (channel: Channel, server: TestServer) => Promise<void>;

const CALL = { timeoutMs: PATIENCE_MS };
const LARGE = { responseSize: 314_159, payload: { body: new Uint8Array(271_828) } };
const PING_PONG = [[27_182, 31_415], [8, 9], [1_828, 2_653], [45_904, 58_979]] as const;
const SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

/** Runs a case on a channel of its own. */
export async function runCase(name: string, server: TestServer): Promise<void> {
  using channel = open(server);
  await CASES[name](channel, server);
}

/** Waits until the server listens. */
export async function untilListening({ address, tls }: TestServer): Promise<void> {
  const backOff = { firstMs: 50, maxMs: 200 };
  using channel = dial(parseTarget(address), { tls, backOff });
  await channel.call(TEST_SERVICE, "EmptyCall", {}, { ...CALL, wait: true });
}

function open({ address, tls }: TestServer): Channel {
  return dial(parseTarget(address), { tls });
}

async function largeUnary(channel: Channel): Promise<void> {
  const { payload } = await channel.call(TEST_SERVICE, "UnaryCall", LARGE, CALL);
  assert(Buffer.alloc(LARGE.responseSize).equals(payload.body));
}

async function sizes(answers: AsyncIterable<PayloadResponse>): Promise<number[]> {
  return (await Array.fromAsync(answers)).map(({ payload }) => payload.body.length);
}

/** A call to which requests can be sent one by one. */
function duplex(channel: Channel, signal?: AbortSignal) {
  const { readable, writable } = new TransformStream<OutputRequest, OutputRequest>();
  const requests = writable.getWriter();
  const answers = channel.stream(TEST_SERVICE, "FullDuplexCall", readable, { ...CALL, signal });
  return {
    answers,
    async exchange([size, responseSize]: readonly [number, number]): Promise<void> {
      const payload = { body: new Uint8Array(size) };
      void requests.write({ payload, responseParameters: [{ size: responseSize }] });
      const { value } = await answers.next();
      assert.equal(value?.payload.body.length, responseSize);
    },
    end: () => void requests.close(),
  };
}

/** Requests that wait for an event before they end. */
async function* unended<T>(event: Promise<unknown>, ...requests: T[]): AsyncGenerator<T> {
  yield* requests;
  await event;
}

const CASES: Readonly<Record<string, Case>> = {
  async empty_unary(channel) {
    assert.deepEqual(await channel.call(TEST_SERVICE, "EmptyCall", {}, CALL), {});
  },

  large_unary: largeUnary,

  async client_streaming(channel) {
    const requests = async function* (): AsyncGenerator<InputRequest> {
      for (const size of [27_182, 8, 1_828, 45_904]) {
        yield { payload: { body: new Uint8Array(size) } };
      }
    };
    const answers = channel.stream(TEST_SERVICE, "StreamingInputCall", requests(), CALL);
    assert.deepEqual(await Array.fromAsync(answers), [{ aggregatedPayloadSize: 74_922 }]);
  },

  async server_streaming(channel) {
    const expected = [31_415, 9, 2_653, 58_979];
    const request = { responseParameters: expected.map((size) => ({ size })) };
    const answers = channel.stream(TEST_SERVICE, "StreamingOutputCall", request, CALL);
    assert.deepEqual(await sizes(answers), expected);
  },

  async ping_pong(channel) {
    const call = duplex(channel);
    for (const pair of PING_PONG) await call.exchange(pair);
    call.end();
    assert.equal((await call.answers.next()).done, true);
  },

  async empty_stream(channel) {
    const none = unended<OutputRequest>(Promise.resolve());
    assert.deepEqual(
      await sizes(channel.stream(TEST_SERVICE, "FullDuplexCall", none, CALL)),
      [],
    );
  },

  async cancel_after_begin(channel) {
    const cancel = new AbortController();
    const options = { ...CALL, signal: cancel.signal };
    const { promise: never } = Promise.withResolvers();
    const answers = channel.stream(TEST_SERVICE, "StreamingInputCall", unended(never), options);
    const first = answers.next();
    cancel.abort(new GreetError("INTERRUPTED", "changed my mind"));
    await assert.rejects(first, { code: "INTERRUPTED" });
  },

  async cancel_after_first_response(channel) {
    const cancel = new AbortController();
    const call = duplex(channel, cancel.signal);
    await call.exchange(PING_PONG[0]);
    const second = call.answers.next();
    cancel.abort(new GreetError("INTERRUPTED", "changed my mind"));
    await assert.rejects(second, { code: "INTERRUPTED" });
  },

  async timeout_on_sleeping_server(channel) {
    const { promise: never } = Promise.withResolvers();
    const requests = unended<OutputRequest>(never, { payload: { body: new Uint8Array(27_182) } });
    const answers = channel.stream(TEST_SERVICE, "FullDuplexCall", requests, { timeoutMs: 1 });
    await assert.rejects(sizes(answers), { code: "DEADLINE_EXCEEDED" });
  },

  async status_code_and_message(channel, server) {
    const responseStatus = { code: grpc.status.UNKNOWN, message: "test status method" };
    const expected = { code: "UNKNOWN", message: `${server.address}: test status method` };
    const unary = channel.call(TEST_SERVICE, "UnaryCall", { responseStatus }, CALL);
    await assert.rejects(unary, expected);
    const requests = unended(Promise.resolve(), { responseStatus });
    const answers = channel.stream(TEST_SERVICE, "FullDuplexCall", requests, CALL);
    await assert.rejects(sizes(answers), expected);
  },

  async special_status_message(channel, server) {
    const responseStatus = { code: grpc.status.UNKNOWN, message: SPECIAL };
    const unary = channel.call(TEST_SERVICE, "UnaryCall", { responseStatus }, CALL);
    const message = `${server.address}: ${SPECIAL}`;
    await assert.rejects(unary, { code: "UNKNOWN", message });
  },

  async unimplemented_method(channel) {
    const call = channel.call(TEST_SERVICE, "UnimplementedCall", {}, CALL);
    await assert.rejects(call, { code: "UNIMPLEMENTED" });
  },

  async unimplemented_service(channel) {
    const call = channel.call(UNIMPLEMENTED_SERVICE, "UnimplementedCall", {}, CALL);
    await assert.rejects(call, { code: "UNIMPLEMENTED" });
  },

  async custom_metadata(_, { address, tls }) {
    const limits = new HeaderLimits({ side: "client", maxOpenCalls: Infinity });
    const inner = tls ? serverCredentials(tls, true) : grpc.credentials.createInsecure();
    const client = new grpc.Client(
      address,
      new WithLimits(inner, (socket) => limits.limit(socket)),
    );
    try {
      assertEchoed(await unaryMetadata(client));
      assertEchoed(await duplexMetadata(client));
    } finally {
      client.close();
    }
  },

  async rpc_soak(channel) {
    for (let i = 0; i < 100; i++) await largeUnary(channel);
  },

  async channel_soak(_, server) {
    for (let i = 0; i < 20; i++) {
      using channel = open(server);
      await largeUnary(channel);
    }
  },

  async concurrent_large_unary(channel) {
    const tenCalls = async () => {
      for (let i = 0; i < 10; i++) await largeUnary(channel);
    };
    // The official server has 30 threads, and takes a moment to free one.
    await Promise.all(Array.from({ length: 10 }, tenCalls));
  },
};

/** The names of the cases. */
export const CASE_NAMES = Object.keys(CASES);

// ---------------------------------------------------------------- custom_metadata

const INITIAL = "test_initial_metadata_value";
const TRAILING = Buffer.from("\x0a\x0b\x0a\x0b\x0a\x0b");

/** The headers and trailers of an answer. */
interface Received {
  headers: grpc.Metadata;
  trailers: grpc.Metadata;
}

function customMetadata(): grpc.Metadata {
  const metadata = new grpc.Metadata();
  metadata.set(ECHO_INITIAL, INITIAL);
  metadata.set(ECHO_TRAILING, TRAILING);
  return metadata;
}

function assertEchoed({ headers, trailers }: Received): void {
  assert.deepEqual(headers.get(ECHO_INITIAL), [INITIAL]);
  assert.deepEqual(trailers.get(ECHO_TRAILING), [TRAILING]);
}

async function unaryMetadata(client: grpc.Client): Promise<Received> {
  const { path, requestSerialize, responseDeserialize } = definitionOf(TEST_SERVICE).UnaryCall;
  const answered = Promise.withResolvers<void>();
  const call = client.makeUnaryRequest(
    path,
    requestSerialize,
    responseDeserialize,
    LARGE,
    customMetadata(),
    (error) => error ? answered.reject(error) : answered.resolve(),
  );
  const received = metadataOf(call);
  await answered.promise;
  return await received;
}

async function duplexMetadata(client: grpc.Client): Promise<Received> {
  const { path, requestSerialize, responseDeserialize } = definitionOf(TEST_SERVICE).FullDuplexCall;
  const call = client.makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    customMetadata(),
  );
  const received = metadataOf(call);
  call.write({ responseParameters: [{ size: LARGE.responseSize }] });
  call.end();
  assert.deepEqual(await sizes(call), [LARGE.responseSize]);
  return await received;
}

async function metadataOf(
  call: grpc.ClientUnaryCall | grpc.ClientDuplexStream<unknown, unknown>,
): Promise<Received> {
  const headers = new Promise<grpc.Metadata>((resolve) => call.once("metadata", resolve));
  const status = new Promise<grpc.StatusObject>((resolve) => call.once("status", resolve));
  return { headers: await headers, trailers: (await status).metadata };
}
