/**
 * gRPC, tamed: what its two halves share.
 *
 * `rpc_server.ts` offers services, `rpc_client.ts` calls them, and nothing else knows grpc-js.
 * Requests and answers are plain objects, handlers are async functions and, where an
 * answer is a stream, async generators; everything that waits takes an `AbortSignal`, and every
 * call has a deadline. No gRPC type leaves these files.
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

/**
 * How many fields a message may have, those of nested messages included. For requests it is more
 * than a thousand chat messages have; answers may list 100,000 names.
 */
const MAX_FIELDS = { request: 10_000, response: 500_000 };

/** The calls of a service, by name, and how their messages become bytes and come back. */
export type ServiceDefinition = Record<string, MethodDefinition<object, object>>;

const definitions = new Map<string, ServiceDefinition>();

/**
 * A service as gRPC wants it described. It is what `@grpc/proto-loader` would make of it, which takes
 * twice as long to load, and as long again to describe each message as reflection wants it.
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

/** A `.proto` file, parsed. The parser gets text, so nothing is read from disk. */
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
    requestDeserialize: orWhyNot(request.deserialize),
    responseSerialize: response.serialize,
    responseDeserialize: response.deserialize,
  };
}

/** How messages of a type become bytes and come back, as plain objects in which nothing is missing. */
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

/** Returns what is wrong with a request in its place: what is thrown, grpc-js keeps from the caller. */
function orWhyNot(deserialize: (bytes: Uint8Array) => object) {
  return (bytes: Uint8Array): object => {
    try {
      return deserialize(bytes);
    } catch (error) {
      if (error instanceof GreetError) return error;
      throw error;
    }
  };
}

/** A ping on a connection that has been silent, in milliseconds. Source: grpc/grpc `doc/keepalive.md`. */
export interface Keepalive {
  /** After how much silence to ask. */
  everyMs: number;
  /** How long the answer may take. */
  timeoutMs: number;
}

/** The same as gRPC's options. */
export function keepaliveOptions(keepalive: Keepalive | undefined): ChannelOptions {
  return keepalive === undefined ? {} : {
    "grpc.keepalive_time_ms": keepalive.everyMs,
    "grpc.keepalive_timeout_ms": keepalive.timeoutMs,
  };
}
