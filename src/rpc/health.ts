/**
 * Health checking, the standard service from which probes and load balancers learn whether a server
 * works.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { aborted } from "../base/timing.ts";
import { implement, type IncomingCall, type Service } from "./service.ts";
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
