/**
 * Collects OpenTelemetry spans that a program exports over HTTP, as JSON.
 *
 * @module
 */
import { Pulse } from "../../src/base/timing.ts";
import { inTime } from "./waiting.ts";

/** A span, with the name of the service that exported it. */
export interface CollectedSpan {
  service: unknown;
  name: string;
  /** 2 for servers, 3 for clients. */
  kind: number;
  traceId: string;
  spanId: string;
  parentSpanId: string;
  failed: boolean;
  attributes: Record<string, unknown>;
}

interface Attribute {
  key: string;
  value: { stringValue?: string; intValue?: number };
}

/** The parts of an export request that are used here: OTLP 1, `ExportTraceServiceRequest`. */
interface Export {
  resourceSpans: {
    resource: { attributes: Attribute[] };
    scopeSpans: {
      spans: (CollectedSpan & { attributes: Attribute[]; status: { code: number } })[];
    }[];
  }[];
}

/** A collector on a free port of this machine. */
export class Collector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  readonly #received = new Pulse();
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const body = await request.text();
      if (request.url.endsWith("/v1/traces")) this.#collect(JSON.parse(body));
      return Response.json({});
    },
  );

  /** The environment of a program that exports its spans here, soon after they end. */
  get env(): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_BSP_SCHEDULE_DELAY: "50",
    };
  }

  /** Waits until some spans have come. */
  async until(count: number, isWanted: (span: CollectedSpan) => boolean): Promise<CollectedSpan[]> {
    const wait = async () => {
      for (;;) {
        const next = this.#received.next;
        const found = this.spans.filter(isWanted);
        if (found.length >= count) return found;
        await next;
      }
    };
    return await inTime(wait(), () => `${count} spans, in ${JSON.stringify(this.spans)}`);
  }

  #collect({ resourceSpans }: Export): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      const service = valuesOf(resource.attributes)["service.name"];
      for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
        const attributes = valuesOf(span.attributes);
        this.spans.push({ ...span, service, attributes, failed: span.status.code === 2 });
      }
    }
    this.#received.beat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function valuesOf(attributes: Attribute[]): Record<string, unknown> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]),
  );
}
