/**
 * Starts processes that run tests (see `worker.ts`), and gives up those that hang.
 *
 * @module
 */
import type { Tree } from "./tree.ts";
import { type Loaded, type Outcome, PREFIX, type Request } from "./worker.ts";

/** How long a process may take to load all tests, in milliseconds. */
const LOAD_MS = 60_000;

/** Random tests try a tenth of their inputs: mutants are many, and seldom need a rare input. */
const GREET_TEST_SEEDS = "0.1";

/** A process with tests in it. Disposing of it kills it and all that its tests have started. */
export class TestProcess implements Disposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #answers: AsyncIterator<string>;

  private constructor(tree: Tree, files: readonly string[]) {
    const worker = "tests/mutation/worker.ts";
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--quiet", "--allow-all", worker, ...files],
      cwd: tree.root,
      env: { TMPDIR: tree.temporaryFolder(), GREET_NO_SUSPEND: "1", GREET_TEST_SEEDS },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
      detached: true,
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#answers = linesOf(this.#child.stdout);
  }

  /**
   * Starts a process and waits until it has loaded its tests.
   *
   * @param active the mutant that is active from the start; 0 for the original
   * @returns nothing if it cannot load them
   */
  static async start(
    tree: Tree,
    files: readonly string[],
    active = 0,
  ): Promise<{ process: TestProcess; loaded: Loaded } | undefined> {
    tree.activate(active);
    const process = new TestProcess(tree, files);
    const loaded = await process.#answer(LOAD_MS);
    tree.activate(0);
    if (loaded !== undefined) return { process, loaded: loaded as Loaded };
    process[Symbol.dispose]();
  }

  /** Runs a test. Returns nothing if the process hangs or ends; it cannot be used any more then. */
  async run(request: Request, limitMs: number): Promise<Outcome | undefined> {
    const line = new TextEncoder().encode(JSON.stringify(request) + "\n");
    await this.#input.write(line).catch(() => {});
    return await this.#answer(limitMs) as Outcome | undefined;
  }

  async #answer(limitMs: number): Promise<unknown> {
    const { promise: expired, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(resolve, limitMs, undefined);
    try {
      for (;;) {
        const next = await Promise.race([this.#answers.next(), expired]);
        if (next === undefined || next.done) return undefined;
        const [, text] = next.value.split(PREFIX);
        if (text !== undefined) return JSON.parse(text);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  [Symbol.dispose](): void {
    try {
      // The whole group, with the processes that tests have started.
      Deno.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
  }
}

async function* linesOf(output: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of output.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
