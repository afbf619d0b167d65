/**
 * Server reflection, the standard service from which tools learn what a server offers. Loading it takes
 * as long as everything else that a server needs, so clients do not.
 *
 * @module
 */
import "./deno_http2_workaround.ts";
import type * as grpc from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import { ReflectionV1Implementation } from "@grpc/reflection/build/src/implementations/reflection-v1.js";
import { spellOutMaps } from "./map_entries.ts";
import { PROTOS } from "./protos.ts";
import {
  backpressureOn,
  parts,
  type ServerState,
  type Service,
  toStatus,
  trackStream,
} from "./service.ts";
import { definitionOf, parseProto } from "./service_definition.ts";
import { StreamQuota } from "./stream_quota.ts";

/**
 * Server reflection, so that tools such as grpcurl need no `.proto` files.
 *
 * Serves `grpc.reflection.v1` and the older `v1alpha`, which differ only in name. Source: grpc/grpc
 * `doc/server-reflection.md`.
 *
 * @param services the other services of the server
 */
export function reflection(services: readonly Service[]): readonly Service[] {
  const versions = ["v1", "v1alpha"].map((version) => {
    const name = `grpc.reflection.${version}.ServerReflection`;
    const proto = PROTOS["grpc/reflection/v1/reflection.proto"]
      .replaceAll("grpc.reflection.v1", `grpc.reflection.${version}`);
    return { name, proto, definition: definitionOf({ name, proto }) };
  });
  const protos = [
    ...services.map((service) => service[parts].proto),
    ...versions.map(({ proto }) => proto),
  ];
  const described = new ReflectionV1Implementation(
    Object.assign({}, ...protos.map((proto) => fromJSON(spellOutMaps(parseProto(proto)).toJSON()))),
  );
  const quota = new StreamQuota("reflection calls");
  return versions.map(({ name, ...description }) => {
    const { responseSerialize } = description.definition.ServerReflectionInfo;
    const answerTo = (request: ReflectionRequest) =>
      responseSerialize(described.handleServerReflectionRequest(request));
    const implementation = (server: ServerState) => ({
      ServerReflectionInfo: (stream: ReflectionStream) =>
        answerEach(stream, answerTo, server, quota),
    });
    return { name, [parts]: { ...description, implementation } };
  });
}

type ReflectionRequest = Parameters<
  ReflectionV1Implementation["handleServerReflectionRequest"]
>[0];

type ReflectionStream = grpc.ServerDuplexStream<ReflectionRequest, Uint8Array>;

/** Answers one request at a time, and reads no further while an answer has to wait. */
function answerEach(
  stream: ReflectionStream,
  answerTo: (request: ReflectionRequest) => Uint8Array,
  server: ServerState,
  quota: StreamQuota,
): void {
  const signal = trackStream(stream, server);
  try {
    const open = quota.open(stream.getPeer());
    signal.addEventListener("abort", () => open[Symbol.dispose]());
  } catch (error) {
    stream.emit("error", toStatus(error, server.onFault));
    return;
  }
  const backpressure = backpressureOn(stream, server, () => signal);
  stream.on("data", async (request) => {
    stream.pause();
    const capacity = backpressure.waitForCapacity();
    if (capacity !== undefined) await capacity;
    if (signal.aborted) return;
    try {
      const answer = answerTo(request);
      backpressure.count(answer);
      stream.write(answer);
      stream.resume();
    } catch (error) {
      stream.emit("error", toStatus(error, server.onFault));
    }
  });
  stream.on("end", () => stream.end());
}
