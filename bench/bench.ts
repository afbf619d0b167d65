/**
 * What `greet` costs, next to the same in Python, side by side in one run.
 *
 * The machine is never quiet, so look at the ratios. Each figure is the median of
 * several rounds in which both take turns: `deno task bench`. Needs Python with grpcio, and h2load.
 *
 * @module
 */
import { join } from "node:path";
import { greetCommand, Program, ROOT, serving } from "../tests/program.ts";

const PYTHON = "/usr/bin/python3";
const ROUNDS = 7;
const REQUESTS = 10_000;

interface Rival {
  readonly name: string;
  readonly server: () => Promise<{ port: string } & AsyncDisposable>;
  readonly client: (port: string) => string[];
}

const modules = await Deno.makeTempDir();
const examples = join(ROOT, "examples", "python");
const env = { PYTHONPATH: modules, PYTHONDONTWRITEBYTECODE: "1" };

const RIVALS: readonly [ours: Rival, theirs: Rival] = [
  {
    name: "greet",
    server: () => serving(),
    client: (port) => [...greetCommand(), "greet", port, "Bob"],
  },
  {
    name: "Python",
    async server() {
      const server = new Program([PYTHON, join(examples, "server.py"), "0"], { env });
      const [, port] = await server.out.until(/listening on (\d+)\n/);
      return { port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
    },
    client: (port) => [PYTHON, join(examples, "client.py"), port, "Bob"],
  },
];

async function output(command: string[]): Promise<string> {
  const [program, ...args] = command;
  const { success, stdout, stderr } = await new Deno.Command(program, { args, cwd: ROOT, env })
    .output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(`${program}: ${text(stderr)}`);
  return text(stdout);
}

function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}

/** Measures both in turns and prints a row. */
async function row(what: string, measure: (rival: Rival) => Promise<number>): Promise<void> {
  const figures: number[][] = RIVALS.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, rival] of RIVALS.entries()) figures[i].push(await measure(rival));
  }
  const [ours, theirs] = figures.map(median);
  const cells = [ours.toFixed(0), theirs.toFixed(0), (ours / theirs).toFixed(2)];
  console.log(what.padEnd(36) + cells.map((cell) => cell.padStart(10)).join(""));
}

async function greetingMs({ client }: Rival, port: string): Promise<number> {
  const start = performance.now();
  await output(client(port));
  return performance.now() - start;
}

async function requestsPerSecond(
  { server }: Rival,
  clients: number,
  streams: number,
  request: string,
): Promise<number> {
  await using running = await server();
  const report = await output([
    ...["h2load", "-n", `${REQUESTS}`, "-c", `${clients}`, "-m", `${streams}`, "-d", request],
    ...["-H", "content-type: application/grpc", "-H", "te: trailers"],
    `http://127.0.0.1:${running.port}/greet.v1.Greeter/Greet`,
  ]);
  if (!report.includes(`${REQUESTS} succeeded`)) throw new Error(report);
  return Number(/([\d.]+) req\/s/.exec(report)![1]);
}

try {
  await output([
    ...[PYTHON, "-m", "grpc_tools.protoc", "-I", "proto", `--python_out=${modules}`],
    ...[`--grpc_python_out=${modules}`, "greeting.proto"],
  ]);
  const request = join(modules, "request");
  // A gRPC frame: not compressed, 5 bytes long; field 1 of UserInfo is "Bob".
  await Deno.writeFile(request, new Uint8Array([0, 0, 0, 0, 5, 0x0a, 3, 0x42, 0x6f, 0x62]));
  const machine = `${navigator.hardwareConcurrency} cores, ${Deno.build.target}`;
  console.log(`Deno ${Deno.version.deno}, ${machine}, medians of ${ROUNDS}\n`);
  console.log("".padEnd(36) + ["greet", "Python", "ratio"].map((t) => t.padStart(10)).join(""));
  await using target = await serving();
  await row("one greeting, whole process, ms", (rival) => greetingMs(rival, target.port));
  for (const [clients, streams] of [[1, 1], [1, 50], [4, 25]]) {
    await row(
      `serve, ${clients}×${streams} streams, requests/s`,
      (rival) => requestsPerSecond(rival, clients, streams, request),
    );
  }
} finally {
  await Deno.remove(modules, { recursive: true });
}
