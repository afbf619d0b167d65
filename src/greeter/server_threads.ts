/**
 * A greeting server on several threads that share its port.
 *
 * Each thread is a Worker that listens by itself; the system spreads connections over them
 * (`SO_REUSEPORT`, socket(7)). Workers send their logs here in batches. Each Worker runs this same
 * file.
 *
 * @module
 */
import { GreetError, type PlainError } from "../base/errors.ts";
import { type GreetRequest, serveGreeter } from "./server.ts";
import { renounce } from "../base/permissions.ts";
import { Listener } from "../net/listener.ts";
import { returnMemoryAfterWork } from "../base/memory.ts";
import { Output } from "../base/output.ts";
import { type LogFormat, logLine } from "./request_log.ts";
import type { Server } from "../rpc/server.ts";
import type { ServerTls } from "../net/server_tls.ts";

/** What each thread serves, as plain data. */
interface Job {
  readonly host: string;
  readonly port: number;
  readonly format: LogFormat;
  readonly tls?: ServerTls;
}

/** How to serve on several threads. */
export interface ServeOnThreadsOptions extends Job {
  /** The number of threads. */
  readonly threads: number;
  /** Called with batches of log lines. A thread's callers wait until the promise has settled. */
  readonly log: (lines: string) => void | Promise<void>;
  /** Called with unexpected failures. */
  readonly onFault: (error: GreetError) => void;
  /** Called when a caller fails the handshake, with what has to change. */
  readonly onRefused: (error: GreetError) => void;
}

type ToThread = { type: "serve"; job: Job } | { type: "logged" } | {
  type: "stop";
  graceMs: number;
};

type FromThread =
  | { type: "listening" | "stopped" }
  | { type: "lines"; bytes: Uint8Array }
  | { type: "failed" | "fault" | "refused"; error: PlainError };

const WORKER_NAME = "greet: server";

/**
 * Starts a greeting server on several threads. A thread that crashes ends the program.
 *
 * @returns the running server, when all threads listen
 * @throws {GreetError} `FAILED` if the port, the host or the certificate cannot be used
 */
export async function serveOnThreads(options: ServeOnThreadsOptions): Promise<Server> {
  const port = await freePort(options.host, options.port);
  const threads = Array.from({ length: options.threads }, () => new Thread(options));
  try {
    await Promise.all(threads.map((thread) => thread.serve(port)));
  } catch (error) {
    for (const thread of threads) thread.terminate();
    throw error;
  }
  let stopped: Promise<unknown> | undefined;
  const stop = async (graceMs = 5000) => {
    await (stopped ??= Promise.all(threads.map((thread) => thread.stop(graceMs))));
  };
  return { port, stop, [Symbol.asyncDispose]: () => stop() };
}

/** Makes sure that the port is free: a shared port can also be taken while others share it. */
async function freePort(host: string, port: number): Promise<number> {
  const listener = new Listener({ onConnection: (socket) => socket.destroy() });
  const free = await listener.listen(host, port);
  await listener.close();
  return free;
}

/** A Worker, seen from the thread that started it. */
class Thread {
  readonly #options: ServeOnThreadsOptions;
  readonly #worker = new Worker(import.meta.url, { type: "module", name: WORKER_NAME });
  readonly #listening = Promise.withResolvers<void>();
  readonly #stopped = Promise.withResolvers<void>();

  constructor(options: ServeOnThreadsOptions) {
    this.#options = options;
    this.#worker.onmessage = ({ data }: MessageEvent<FromThread>) => void this.#receive(data);
  }

  async serve(port: number): Promise<void> {
    const { host, format, tls } = this.#options;
    this.#send({ type: "serve", job: { host, port, format, tls } });
    await this.#listening.promise;
  }

  async stop(graceMs: number): Promise<void> {
    this.#send({ type: "stop", graceMs });
    await this.#stopped.promise;
    this.terminate();
  }

  terminate(): void {
    this.#worker.terminate();
  }

  #send(message: ToThread): void {
    this.#worker.postMessage(message);
  }

  async #receive(message: FromThread): Promise<void> {
    switch (message.type) {
      case "listening":
        return this.#listening.resolve();
      case "stopped":
        return this.#stopped.resolve();
      case "lines":
        await this.#options.log(new TextDecoder().decode(message.bytes).trimEnd());
        return this.#send({ type: "logged" });
      case "failed":
        return this.#listening.reject(GreetError.fromJSON(message.error));
      case "fault":
        return this.#options.onFault(GreetError.fromJSON(message.error));
      case "refused":
        return this.#options.onRefused(GreetError.fromJSON(message.error));
    }
  }
}

/** The part of a Worker's global scope that is used here. */
interface WorkerScope {
  readonly name?: string;
  onmessage: (event: MessageEvent<ToThread>) => void;
  postMessage(message: FromThread): void;
}

/** A Worker, seen from inside. */
class ServerWorker {
  readonly #scope: WorkerScope;
  readonly #output = new Output({ write: (bytes) => this.#log(bytes) });
  #logged = Promise.withResolvers<void>();
  #server: Server | undefined;

  constructor(scope: WorkerScope) {
    this.#scope = scope;
    scope.onmessage = ({ data }) => void this.#receive(data);
  }

  async #receive(message: ToThread): Promise<void> {
    switch (message.type) {
      case "serve":
        return await this.#serve(message.job);
      case "logged":
        return this.#logged.resolve();
      case "stop":
        await this.#server?.stop(message.graceMs);
        await this.#output.flush();
        return this.#scope.postMessage({ type: "stopped" });
    }
  }

  async #serve({ format, ...job }: Job): Promise<void> {
    const sendError = (type: "failed" | "fault" | "refused") => (error: unknown) =>
      this.#scope.postMessage({ type, error: GreetError.from(error).toJSON() });
    const log = (request: GreetRequest) => {
      this.#output.log(logLine(request, format));
      return this.#output.ready();
    };
    returnMemoryAfterWork();
    try {
      this.#server = await serveGreeter({
        ...job,
        sharesPort: true,
        onRequest: log,
        onFault: sendError("fault"),
        onRefused: sendError("refused"),
      });
      // All modules have been loaded; certificates are read again when they change.
      if (job.tls === undefined) renounce(["read"], []);
      this.#scope.postMessage({ type: "listening" });
    } catch (error) {
      sendError("failed")(error);
    }
  }

  /** Resolves when the main thread has taken the lines. */
  async #log(bytes: Uint8Array): Promise<number> {
    this.#logged = Promise.withResolvers();
    this.#scope.postMessage({ type: "lines", bytes });
    await this.#logged.promise;
    return bytes.length;
  }
}

const scope = globalThis as unknown as WorkerScope;
if (scope.name === WORKER_NAME) new ServerWorker(scope);
