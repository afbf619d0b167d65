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
import "./http2_guard.ts";
import { type ChannelOptions, logVerbosity, setLogVerbosity } from "@grpc/grpc-js";
import { fromJSON, type PackageDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import protobuf from "protobufjs";
import type { Calls, ServiceType } from "./wire.ts";

setLogVerbosity(logVerbosity.NONE);

const packages = new Map<string, PackageDefinition>();

/** A `.proto` file, parsed once. The parser gets text, so nothing is read from disk. */
export function parseProto(
  text: string,
  longs: NumberConstructor | StringConstructor = Number,
): PackageDefinition {
  let definition = packages.get(text);
  if (definition === undefined) {
    const { root, imports } = protobuf.parse(text, new protobuf.Root());
    for (const file of imports ?? []) root.addJSON(protobuf.common.get(file)?.nested ?? {});
    definition = fromJSON(root.toJSON(), {
      defaults: true,
      longs,
      enums: String,
      oneofs: true,
    });
    packages.set(text, definition);
  }
  return definition;
}

/** A service as gRPC wants it described. */
export function definitionOf({ name, proto, longs }: ServiceType<Calls>): ServiceDefinition {
  return parseProto(proto, longs)[name] as ServiceDefinition;
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
