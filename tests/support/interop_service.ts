/**
 * The service of gRPC's interoperability tests, on this program's server.
 *
 * What the program's own services need as well (single answers, streams of answers, statuses) goes
 * through `implement`. Streams of requests and echoed metadata, which it has no use for, are added
 * with grpc-js, in the way of `reflection`.
 *
 * @module
 */
import * as grpc from "@grpc/grpc-js";
import { GreetError, STATUS_NAMES, type StatusName } from "../../src/base/errors.ts";
import { pause } from "../../src/base/timing.ts";
import {
  backpressureOn,
  implement,
  parts,
  type ServerState,
  type Service,
  toStatus,
  trackStream,
} from "../../src/rpc/service.ts";
import {
  ECHO_INITIAL,
  ECHO_TRAILING,
  type EchoStatus,
  type InputRequest,
  type OutputRequest,
  type PayloadResponse,
  TEST_SERVICE,
} from "./interop.ts";

/** The service, as its specification demands. Source: grpc/grpc `doc/interop-test-descriptions.md`. */
export function testService(): Service {
  const service = implement(TEST_SERVICE, {
    EmptyCall: () => ({}),
    UnaryCall({ responseSize, responseStatus, expectCompressed }) {
      expectUncompressed(expectCompressed);
      throwStatus(responseStatus);
      return payloadOf(responseSize!);
    },
    StreamingOutputCall: (request) => answersTo(request),
  });
  const { definition, implementation, ...description } = service[parts];
  const withStreams = (server: ServerState): grpc.UntypedServiceImplementation => {
    const calls = implementation(server);
    const { StreamingInputCall, FullDuplexCall } = definition;
    return {
      ...calls,
      UnaryCall: echoing(calls.UnaryCall as UnaryMethod),
      StreamingInputCall: summingUp(StreamingInputCall.responseSerialize, server),
      FullDuplexCall: answeringEach(FullDuplexCall.responseSerialize, server),
    };
  };
  return {
    name: service.name,
    [parts]: { ...description, definition, implementation: withStreams },
  };
}

function payloadOf(size: number): PayloadResponse {
  return { payload: { body: new Uint8Array(size) } };
}

function throwStatus(status: EchoStatus | null | undefined): void {
  if (!status) return;
  throw new GreetError(STATUS_NAMES[status.code] as Exclude<StatusName, "OK">, status.message);
}

/** This program's servers refuse compressed requests, so none that arrives here was compressed. */
function expectUncompressed(expectCompressed: { value: boolean } | null | undefined): void {
  if (!expectCompressed?.value) return;
  throw new GreetError("INVALID_ARGUMENT", "the request is not compressed");
}

async function* answersTo(
  { responseStatus, responseParameters }: OutputRequest,
): AsyncGenerator<PayloadResponse> {
  throwStatus(responseStatus);
  for (const { size, intervalUs = 0 } of responseParameters!) {
    if (intervalUs > 0) await pause(intervalUs / 1000);
    yield payloadOf(size);
  }
}

// ---------------------------------------------------------------- with grpc-js

type Serialize = (message: object) => Uint8Array;
type UnaryMethod = grpc.handleUnaryCall<unknown, Uint8Array>;

/** Sends the header that has to come back with the answer, and returns the trailers. */
function echoMetadata(
  call: Pick<grpc.ServerUnaryCall<unknown, unknown>, "metadata" | "sendMetadata">,
): grpc.Metadata {
  const [headers, trailers] = [ECHO_INITIAL, ECHO_TRAILING].map((name) => {
    const echo = new grpc.Metadata();
    for (const value of call.metadata.get(name)) echo.add(name, value);
    return echo;
  });
  if (headers.get(ECHO_INITIAL).length > 0) call.sendMetadata(headers);
  return trailers;
}

function echoing(method: UnaryMethod): UnaryMethod {
  return (call, answer) => {
    const trailers = echoMetadata(call);
    method(call, (error, response) => answer(error, response, trailers));
  };
}

function summingUp(
  serialize: Serialize,
  server: ServerState,
): grpc.handleClientStreamingCall<InputRequest, Uint8Array> {
  return async (call, answer) => {
    let aggregatedPayloadSize = 0;
    try {
      for await (const request of call.iterator({ destroyOnReturn: false })) {
        const { payload, expectCompressed } = request as InputRequest;
        expectUncompressed(expectCompressed);
        aggregatedPayloadSize += payload!.body.length;
      }
      answer(null, serialize({ aggregatedPayloadSize }));
    } catch (error) {
      if (!call.cancelled) answer(toStatus(error, server.onFault));
    }
  };
}

/** Answers one request after the other. */
function answeringEach(
  serialize: Serialize,
  server: ServerState,
): grpc.handleBidiStreamingCall<OutputRequest, Uint8Array> {
  return async (stream) => {
    const signal = trackStream(stream, server);
    const backpressure = backpressureOn(stream, server, () => signal);
    const trailers = echoMetadata(stream);
    try {
      for await (const request of stream.iterator({ destroyOnReturn: false })) {
        for await (const answer of answersTo(request)) {
          await backpressure.waitForCapacity();
          if (signal.aborted) return;
          const bytes = serialize(answer);
          backpressure.count(bytes);
          stream.write(bytes);
        }
      }
      stream.end(trailers);
    } catch (error) {
      if (!signal.aborted) stream.emit("error", toStatus(error, server.onFault));
    }
  };
}
