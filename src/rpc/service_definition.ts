/**
 * Shared by client and server: service definitions and codecs on top of grpc-js.
 *
 * Only `rpc/` uses grpc-js, and no gRPC type leaves the room: messages are plain objects, handlers
 * are async functions or async generators, and waiting is cancelled with an `AbortSignal`.
 *
 * @module
 */
import "./deno_http2_workaround.ts";
import {
  type ChannelOptions,
  logVerbosity,
  type MethodDefinition,
  setLogVerbosity,
} from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import protobuf from "protobufjs";
import { GreetError } from "../base/errors.ts";
import { StrictReader } from "./strict_reader.ts";
import type { Calls, ServiceType } from "./services.ts";

setLogVerbosity(logVerbosity.NONE);

/** With tracing on, the runtime registers itself under the name that OpenTelemetry's API uses. */
const TRACING = Symbol.for("opentelemetry.js.api.1");
if (TRACING in globalThis) {
  const { describeCallSpans } = await import("./call_spans.ts");
  const all = () => [...definitions.values()].flatMap((calls) => Object.values(calls));
  describeCallSpans((called) => all().some(({ path }) => path === called));
}

/**
 * How many fields a message may have, including those of nested messages: enough for requests with
 * a thousand chat messages, and for answers with 100,000 names.
 */
const MAX_FIELDS = { request: 10_000, response: 500_000 };

/** The calls of a service, by name, with the codecs of their messages. */
export type ServiceDefinition = Record<string, MethodDefinition<object, object>>;

const definitions = new Map<string, ServiceDefinition>();

/**
 * The definition of a service, as grpc-js takes it. `@grpc/proto-loader` would make the same, but
 * takes twice as long to load, and as long again to describe each message for reflection.
 */
export function definitionOf({ name, proto, longs = Number }: ServiceType<Calls>) {
  let definition = definitions.get(name);
  if (definition === undefined) {
    const service = parseProto(proto).lookupService(name);
    const calls = service.methodsArray.map((call) => [call.name, methodOf(call, longs)]);
    definition = Object.fromEntries(calls) as ServiceDefinition;
    definitions.set(name, definition);
  }
  return definition;
}

/** Parses the text of a `.proto` file; nothing is read from disk. */
export function parseProto(text: string): protobuf.Root {
  const { root, imports } = protobuf.parse(text, new protobuf.Root());
  for (const file of imports ?? []) root.addJSON(protobuf.common.get(file)?.nested ?? {});
  root.resolveAll();
  return root;
}

function methodOf(
  call: protobuf.Method,
  longs: NumberConstructor | StringConstructor,
): MethodDefinition<object, object> {
  const { resolvedRequestType, resolvedResponseType } = call;
  const request = codecOf(resolvedRequestType!, longs, MAX_FIELDS.request);
  const response = codecOf(resolvedResponseType!, longs, MAX_FIELDS.response);
  return {
    path: `/${call.parent!.fullName.slice(1)}/${call.name}`,
    requestStream: call.requestStream ?? false,
    responseStream: call.responseStream ?? false,
    requestSerialize: request.serialize,
    requestDeserialize: withErrorsReturned(request.deserialize),
    responseSerialize: response.serialize,
    responseDeserialize: response.deserialize,
  };
}

/** The codec of a message type. Decoded messages are plain objects with every field set. */
function codecOf(
  type: protobuf.Type,
  longs: NumberConstructor | StringConstructor,
  maxFields: number,
) {
  const options = { defaults: true, longs, enums: String, oneofs: true };
  return {
    serialize(message: object) {
      const { buffer, byteOffset, byteLength } = type.encode(type.fromObject(message)).finish();
      return Buffer.from(buffer, byteOffset, byteLength);
    },
    deserialize: (bytes: Uint8Array): object =>
      type.toObject(type.decode(new StrictReader(bytes, maxFields)), options),
  };
}

/** Returns a {@link GreetError} in place of the request: the caller would not see a thrown one. */
function withErrorsReturned(deserialize: (bytes: Uint8Array) => object) {
  return (bytes: Uint8Array): object => {
    try {
      return deserialize(bytes);
    } catch (error) {
      if (error instanceof GreetError) return error;
      throw error;
    }
  };
}

/** Pings on silent connections. Source: grpc/grpc `doc/keepalive.md`. */
export interface Keepalive {
  /** How long a connection is silent before each ping, in milliseconds. */
  everyMs: number;
  /** How long the answer may take, in milliseconds. */
  timeoutMs: number;
}

/** The gRPC options of both sides. */
export function commonOptions(keepalive: Keepalive | undefined): ChannelOptions {
  return {
    // Channelz counts calls and messages, for a service that is not offered here.
    "grpc.enable_channelz": 0,
    ...keepalive && {
      "grpc.keepalive_time_ms": keepalive.everyMs,
      "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
    },
  };
}
