/**
 * Drives greeting servers with h2load, from the same machine: it needs a core, and the fastest servers
 * wait for it.
 *
 * @module
 */
import { percentile, processCpuMs } from "./measure.ts";
import { output } from "./rivals.ts";

/** The concurrency of a load. */
export interface Load {
  readonly clients: number;
  /** Concurrent streams of each client. */
  readonly streams: number;
}

/** One measurement of a server under a load. */
export interface Sample {
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly unanswered: number;
}

/** A request for `greet.v1.Greeter/Greet`, in a file that h2load sends many times. */
export class Request implements AsyncDisposable {
  readonly #file: string;
  readonly #log: string;

  private constructor(file: string) {
    this.#file = file;
    this.#log = `${file}.log`;
  }

  static async open(): Promise<Request> {
    const file = await Deno.makeTempFile({ prefix: "greet-request-" });
    // A gRPC frame: not compressed, 5 bytes long; field 1 of UserInfo is "Bob".
    await Deno.writeFile(file, Uint8Array.of(0, 0, 0, 0, 5, 0x0a, 3, 0x42, 0x6f, 0x62));
    return new Request(file);
  }

  /** The h2load command for a number of requests. */
  command(port: string, requests: number, { clients, streams }: Load): string[] {
    return [
      ...["h2load", "-n", `${requests}`, "-c", `${clients}`, "-m", `${streams}`],
      ...["-d", this.#file, "-H", "content-type: application/grpc", "-H", "te: trailers"],
      `http://127.0.0.1:${port}/greet.v1.Greeter/Greet`,
    ];
  }

  /** Runs a load. Returns how many requests failed. */
  async failures(port: string, requests: number, load: Load): Promise<number> {
    const [program, ...args] = this.command(port, requests, load);
    const { stdout } = await new Deno.Command(program, { args }).output();
    const [, succeeded] = / (\d+) succeeded/.exec(new TextDecoder().decode(stdout)) ?? [];
    return requests - Number(succeeded ?? 0);
  }

  /** Runs a load and measures it. */
  async measure(
    { port, pid }: { port: string; pid: number },
    requests: number,
    load: Load,
  ): Promise<Sample> {
    await Deno.writeTextFile(this.#log, "");
    const cpuBefore = await processCpuMs(pid);
    const [program, ...args] = this.command(port, requests, load);
    // `-N`: give up on a server that hangs.
    const summary = await output([program, "-N", "10", "--log-file", this.#log, ...args]);
    const cpu = await processCpuMs(pid) - cpuBefore;
    const times = millisecondsIn(await Deno.readTextFile(this.#log));
    return {
      perSecond: Number(/([\d.]+) req\/s/.exec(summary)![1]),
      cpuMicros: cpu / requests * 1_000,
      p50Ms: percentile(times, 0.5),
      p99Ms: percentile(times, 0.99),
      unanswered: requests - answersIn(summary),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#file);
    await Deno.remove(this.#log).catch(() => {});
  }
}

/** The data of an answer with `Hello, Bob.`: 5 bytes for the frame, 2 for the field. */
const ANSWER_BYTES = 5 + 2 + "Hello, Bob.".length;

/**
 * The number of requests answered with a greeting. h2load ignores `grpc-status`, but an error has no
 * data.
 */
function answersIn(summary: string): number {
  const [, ok] = /(\d+) 2xx/.exec(summary)!;
  const [, bytes] = /\((\d+)\) data/.exec(summary)!;
  return Math.min(Number(ok), Math.floor(Number(bytes) / ANSWER_BYTES));
}

/** The times of all answers. h2load logs a line for each: start, status, microseconds. */
function millisecondsIn(log: string): number[] {
  return log.trimEnd().split("\n").map((line) => Number(line.split("\t")[2]) / 1_000);
}
