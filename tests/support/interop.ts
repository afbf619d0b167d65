/**
 * The services of gRPC's interoperability tests, with the types of their messages.
 *
 * @module
 */
import type { ServiceType } from "../../src/rpc/services.ts";

/** Bytes that mean nothing. */
export interface Payload {
  body: Uint8Array;
}

/** The status that a call should end with. */
export interface EchoStatus {
  code: number;
  message: string;
}

/** A request for a payload, or for a status. */
export interface SimpleRequest {
  responseSize?: number;
  payload?: Payload | null;
  responseStatus?: EchoStatus | null;
  expectCompressed?: { value: boolean } | null;
}

/** One of several payloads that are summed up. */
export interface InputRequest {
  payload?: Payload | null;
  expectCompressed?: { value: boolean } | null;
}

/** A request for several payloads, or for a status. */
export interface OutputRequest {
  responseParameters?: { size: number; intervalUs?: number }[];
  payload?: Payload | null;
  responseStatus?: EchoStatus | null;
}

/** An answer with a payload. */
export interface PayloadResponse {
  payload: Payload;
}

type Empty = Record<string, never>;

const proto = await Deno.readTextFile(new URL("interop.proto", import.meta.url));

/** The service that every implementation of gRPC has for its tests. */
export const TEST_SERVICE: ServiceType<{
  EmptyCall: { request: Empty; response: Empty };
  UnaryCall: { request: SimpleRequest; response: PayloadResponse };
  StreamingOutputCall: { request: OutputRequest; response: PayloadResponse; streams: "responses" };
  StreamingInputCall: {
    request: InputRequest;
    response: { aggregatedPayloadSize: number };
    streams: "both";
  };
  FullDuplexCall: { request: OutputRequest; response: PayloadResponse; streams: "both" };
  UnimplementedCall: { request: Empty; response: Empty };
}> = { name: "grpc.testing.TestService", proto };

/** The service that no server has. */
export const UNIMPLEMENTED_SERVICE: ServiceType<{
  UnimplementedCall: { request: Empty; response: Empty };
}> = { name: "grpc.testing.UnimplementedService", proto };

/** The header that comes back as a header of the answer. */
export const ECHO_INITIAL = "x-grpc-test-echo-initial";

/** The header that comes back as a trailer. */
export const ECHO_TRAILING = "x-grpc-test-echo-trailing-bin";
