/**
 * Describes traced calls; loaded only if the program runs with `OTEL_DENO=true`.
 *
 * The runtime then records each HTTP/2 request, accepted or sent, as a span called `POST`. Here the
 * spans of gRPC calls get the names and attributes of OpenTelemetry's semantic conventions (1.45).
 *
 * @module
 */
import { subscribe } from "node:diagnostics_channel";
import { STATUS_NAMES, type StatusName } from "../base/errors.ts";

/** The parts of a span that are used here. */
interface Span {
  updateName(name: string): void;
  setAttributes(attributes: Record<string, string>): void;
  setStatus(status: { code: number }): void;
  end(): void;
}

/** OpenTelemetry's status of a span that failed. */
const ERROR = { code: 2 };

/** The statuses that are failures for a server. For a client, all but `OK` are. */
const SERVER_FAILURES: readonly StatusName[] = [
  "UNKNOWN",
  "DEADLINE_EXCEEDED",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
];

type Headers = Readonly<Record<string, unknown>>;

/** The parts of an HTTP/2 stream that are used here. */
interface Stream {
  readonly sentHeaders?: Headers;
  readonly sentTrailers?: Headers;
  readonly [field: symbol]: unknown;
  once(event: "response" | "trailers", listener: (headers: Headers) => void): void;
}

/** What is known about a call when it ends. */
interface Call {
  status(): StatusName | undefined;
  isFailure(status: StatusName): boolean;
}

/** What the runtime publishes for each new stream. */
interface Created {
  readonly stream: Stream;
  readonly headers: Headers;
}

/**
 * Describes the spans of all calls from now on, of servers and of clients.
 *
 * @param isMethod whether a path is that of a method in this program; callers may ask for any other
 */
export function describeCallSpans(isMethod: (path: string) => boolean): void {
  const describe = (stream: Stream, headers: Headers, call: Call) => {
    const span = spanOf(stream);
    if (!span || !`${headers["content-type"]}`.startsWith("application/grpc")) return;
    addMethod(span, `${headers[":path"]}`, isMethod);
    addStatus(span, call);
  };
  subscribe("http2.server.stream.created", (message) => {
    const { stream, headers } = message as Created;
    describe(stream, headers, {
      status: () => statusIn(stream.sentTrailers) ?? statusIn(stream.sentHeaders),
      isFailure: (status) => SERVER_FAILURES.includes(status),
    });
  });
  subscribe("http2.client.stream.created", (message) => {
    const { stream, headers } = message as Created;
    let status: StatusName | undefined;
    for (const event of ["response", "trailers"] as const) {
      stream.once(event, (received) => status ??= statusIn(received));
    }
    describe(stream, headers, {
      status: () => status,
      isFailure: (status) => status !== "OK",
    });
  });
}

/** Names the span of a call. A name that a caller invents is kept out of the names of spans. */
function addMethod(span: Span, path: string, isMethod: (path: string) => boolean): void {
  const method = path.slice(1);
  span.updateName(isMethod(path) ? method : "grpc");
  span.setAttributes({
    "rpc.system.name": "grpc",
    ...(isMethod(path)
      ? { "rpc.method": method }
      : { "rpc.method": "_OTHER", "rpc.method_original": method }),
  });
}

/** Adds the status to the span of a call when it ends. */
function addStatus(span: Span, call: Call): void {
  const end = span.end.bind(span);
  span.end = () => {
    const status = call.status();
    if (status !== undefined) span.setAttributes({ "rpc.response.status_code": status });
    if (status !== undefined && call.isFailure(status)) {
      span.setAttributes({ "error.type": status });
      span.setStatus(ERROR);
    }
    end();
  };
}

/** The status in a block of headers. A call that was cancelled or cut off has none. */
function statusIn(headers: Headers | undefined): StatusName | undefined {
  const code = headers?.["grpc-status"];
  return code === undefined ? undefined : STATUS_NAMES[Number(code)];
}

/** The span of a stream, which the runtime keeps in a field without a public name. */
function spanOf(stream: Stream): Span | undefined {
  const field = Object.getOwnPropertySymbols(stream)
    .find(({ description }) => description === "kOtelSpan");
  return field && stream[field] as Span | undefined;
}
