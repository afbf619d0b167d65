/**
 * The services that every gRPC server should offer: health checking and reflection.
 *
 * @module
 */
import { definitionOf, parseProto } from "./service_definition.ts";
import type * as grpc from "@grpc/grpc-js";
import { GreetError } from "../base/errors.ts";
import { aborted } from "../base/timing.ts";
import {
  backpressureOn,
  implement,
  type IncomingCall,
  parts,
  type ServerState,
  type Service,
  toStatus,
  trackStream,
} from "./service.ts";
import { spellOutMaps } from "./map_entries.ts";
import { PROTOS } from "./protos.ts";
import { HEALTH, type HealthStatus } from "./services.ts";
import { StreamQuota } from "./stream_quota.ts";

/**
 * The standard health service, for probes and load balancers.
 *
 * Reports every named service, and the server as a whole (`""`), as serving until the server begins
 * to stop. Watches are told of that before they end. Source: grpc/grpc `doc/health-checking.md`. The
 * npm package `grpc-health-check` is not used, because it reads from disk and asks for the user's id
 * when it is imported.
 *
 * @param services the other services of the server
 */
export function health(services: readonly Service[]): Service {
  const known = new Set(["", ...services.map(({ name }) => name)]);
  const status = ({ stopping }: IncomingCall): HealthStatus => ({
    status: stopping.aborted ? "NOT_SERVING" : "SERVING",
  });
  const watches = new StreamQuota("health watches");
  return implement(HEALTH, {
    Check({ service }, call) {
      if (known.has(service)) return status(call);
      throw new GreetError("NOT_FOUND", "there is no such service here");
    },
    List: (_, call) => ({
      statuses: Object.fromEntries([...known].map((service) => [service, status(call)])),
    }),
    async *Watch({ service }, call) {
      using _watch = watches.open(call.from);
      const first = known.has(service) ? status(call) : { status: "SERVICE_UNKNOWN" as const };
      yield first;
      await aborted(call.signal, call.stopping);
      if (first.status === "SERVING" && !call.signal.aborted) yield status(call);
      await aborted(call.signal);
    },
  });
}

/**
 * Server reflection, so that tools such as grpcurl need no `.proto` files.
 *
 * Serves `grpc.reflection.v1` and the older `v1alpha`, which differ only in name. Source: grpc/grpc
 * `doc/server-reflection.md`.
 *
 * @param services the other services of the server
 */
export async function reflection(services: readonly Service[]): Promise<readonly Service[]> {
  const { ReflectionV1Implementation } = await import(
    "@grpc/reflection/build/src/implementations/reflection-v1.js"
  );
  const { fromJSON } = await import("@grpc/proto-loader");
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
  InstanceType<
    typeof import("@grpc/reflection/build/src/implementations/reflection-v1.js")[
      "ReflectionV1Implementation"
    ]
  >["handleServerReflectionRequest"]
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
