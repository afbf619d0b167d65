/**
 * Shared by all benchmarks: measuring in turns, process statistics, tables, and the report. Machines
 * are noisy, so contenders take turns in one run and ratios matter more than times. A slow result
 * never fails a run, but a lost call, message or process does. Needs Linux, because it reads `/proc`.
 *
 * @module
 */

/** The value below which a given share of all values lies, such as 0.99. */
export function percentile(figures: readonly number[], share: number): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length * share)];
}

export function median(figures: readonly number[]): number {
  return percentile(figures, 0.5);
}

/**
 * Measures every contender once per round, so that a noisy minute affects them all.
 *
 * @returns the median for each contender, in the same order
 */
export async function inTurns<Contender>(
  rounds: number,
  contenders: readonly Contender[],
  measure: (contender: Contender) => Promise<number>,
): Promise<number[]> {
  const named = async (contender: Contender) => ({ figure: await measure(contender) });
  const medians = await figuresInTurns(rounds, contenders, named);
  return medians.map(({ figure }) => figure);
}

/**
 * Like {@link inTurns}, for measurements of several figures.
 *
 * @returns for each contender, the median of each figure
 */
export async function figuresInTurns<Contender, Figures extends Record<string, number>>(
  rounds: number,
  contenders: readonly Contender[],
  measure: (contender: Contender) => Promise<Figures>,
): Promise<Figures[]> {
  const samples: Figures[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) samples[i].push(await measure(contender));
  }
  return samples.map((ofOne) => {
    const names = Object.keys(ofOne[0]);
    return Object.fromEntries(
      names.map((name) => [name, median(ofOne.map((figures) => figures[name]))]),
    ) as Figures;
  });
}

/** The resources that a process has used so far. */
export interface Usage {
  /** Resident memory, in megabytes (10^6 bytes). */
  readonly memoryMB: number;
  /** CPU time of all its threads, in milliseconds. */
  readonly cpuMs: number;
  /** How often one of its threads was woken after waiting. */
  readonly wakeUps: number;
}

/** Reads the usage of a process. Threads that have already ended are not included. */
export async function usage(pid: number): Promise<Usage> {
  let cpuMs = 0;
  let wakeUps = 0;
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const thread = await threadUsage(`/proc/${pid}/task/${name}`);
    cpuMs += thread.cpuMs;
    wakeUps += thread.wakeUps;
  }
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return { memoryMB: Number(/^VmRSS:\s*(\d+)/m.exec(status)![1]) * 1_024 / 1e6, cpuMs, wakeUps };
}

/** Reads the usage of one thread: none if it has ended since it was listed. */
async function threadUsage(task: string): Promise<Omit<Usage, "memoryMB">> {
  try {
    const [nanoseconds] = (await Deno.readTextFile(`${task}/schedstat`)).split(" ");
    const status = await Deno.readTextFile(`${task}/status`);
    const [, switches] = /^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)!;
    return { cpuMs: Number(nanoseconds) / 1e6, wakeUps: Number(switches) };
  } catch (error) {
    // Reading the file of a thread that ends meanwhile fails with ESRCH.
    const hasEnded = error instanceof Deno.errors.NotFound || /No such process/.test(`${error}`);
    if (!hasEnded) throw error;
    return { cpuMs: 0, wakeUps: 0 };
  }
}

/**
 * The CPU time of a process in milliseconds, including threads that have ended; NaN if the process has
 * died.
 */
export async function processCpuMs(pid: number): Promise<number> {
  const [user, system] = await cpuTicks(`${pid}`);
  return (user + system) * TICK_MS;
}

/** The CPU time of all children of this process that have ended, in milliseconds. */
export async function endedChildrenCpuMs(): Promise<number> {
  const [, , user, system] = await cpuTicks("self");
  return (user + system) * TICK_MS;
}

/** There are 100 ticks a second on every Linux that Deno supports. */
const TICK_MS = 10;

/** The ticks of a process, user and system, and those of its children that have ended. */
async function cpuTicks(pid: string): Promise<number[]> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  const [, fields = ""] = stat.split(") ");
  return [11, 12, 13, 14].map((i) => Number(fields.split(" ")[i]));
}

/** A row of a table. A figure that could not be measured is undefined. */
interface Row {
  readonly what: string;
  readonly figures: readonly (number | undefined)[];
}

/** Ratios to reach, by column, such as `≤ 1.10`. */
export type Goals = Readonly<Record<string, string>>;

/** The machine that ran the benchmarks. */
interface Machine {
  readonly cores: number;
  readonly processor: string;
  readonly memoryGB: number;
  readonly system: string;
  readonly deno: string;
}

async function machine(): Promise<Machine> {
  const cpus = await Deno.readTextFile("/proc/cpuinfo");
  return {
    cores: navigator.hardwareConcurrency,
    processor: /^model name\s*:\s*(.*)$/m.exec(cpus)?.[1] ?? Deno.build.arch,
    memoryGB: Math.round(Deno.systemMemoryInfo().total / 1e9),
    system: `${Deno.build.os} ${Deno.osRelease()}`,
    deno: Deno.version.deno,
  };
}

const WIDTHS = { what: 44, cell: 13 };

/** The results, printed as they arrive and written to a file at the end. */
export class Report {
  readonly #machine: Machine;
  readonly #tables: Table[] = [];
  readonly #skipped: string[] = [];
  readonly #faults: string[] = [];

  private constructor(machine: Machine) {
    this.#machine = machine;
  }

  static async open(): Promise<Report> {
    const thisMachine = await machine();
    console.log(
      `${thisMachine.cores} × ${thisMachine.processor}, ${thisMachine.memoryGB} GB, ${thisMachine.system}, Deno ${thisMachine.deno}`,
    );
    return new Report(thisMachine);
  }

  /** Starts a table. */
  table(title: string, columns: readonly string[]): Table {
    const table = new Table(title, columns);
    this.#tables.push(table);
    return table;
  }

  /**
   * Starts a table that adds, below each row, the ratio of the first figure to each of the others.
   *
   * @param goals the ratios to reach, by column; they are printed below those that were measured
   */
  comparison(title: string, columns: readonly string[], goals: Goals = {}): Table {
    const printGoals = columns.some((column) => column in goals);
    const table = new Table(title, columns, (figures) => {
      printRow(`    ${columns[0]} / …`, ratios(figures));
      if (printGoals) printRow("    goal", columns.map((column) => goals[column] ?? ""));
    });
    this.#tables.push(table);
    return table;
  }

  /**
   * Reports what could not be measured, and why: a competitor or a load generator is not installed
   * here. The figures of `greet` itself need neither, and a fault of its own fails the run instead.
   */
  skip(what: string): void {
    this.#skipped.push(what);
    console.log(`skipped: ${what}`);
  }

  /** Checks a figure that has only one right value. Any other fails the run. */
  expect(what: string, actual: number, expected: number): void {
    if (actual === expected) return;
    this.#faults.push(`${what}: ${actual}, not ${expected}`);
    console.log(`FAILED: ${this.#faults.at(-1)}`);
  }

  /**
   * Writes the report to a file.
   *
   * @returns the exit code: 1 if an expectation failed, otherwise 0
   */
  async close(file: string): Promise<number> {
    const report = {
      machine: this.#machine,
      at: new Date().toISOString(),
      tables: this.#tables,
      skipped: this.#skipped,
      faults: this.#faults,
    };
    await Deno.writeTextFile(file, JSON.stringify(report, null, 2) + "\n");
    console.log(`\nwritten to ${file}`);
    return this.#faults.length === 0 ? 0 : 1;
  }
}

/** A table of a report. */
export class Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: Row[] = [];
  readonly #after: (figures: Row["figures"]) => void;

  /** @param after prints anything that follows a row */
  constructor(
    title: string,
    columns: readonly string[],
    after: (figures: Row["figures"]) => void = () => {},
  ) {
    this.title = title;
    this.columns = columns;
    this.#after = after;
    console.log(`\n${title.padEnd(WIDTHS.what)}${columns.map(cell).join("")}`);
  }

  /** Adds a row, with a figure for each column. */
  row(what: string, ...figures: (number | undefined)[]): void {
    this.rows.push({ what, figures });
    printRow(`  ${what}`, figures.map(number));
    this.#after(figures);
  }
}

function ratios([first, ...others]: Row["figures"]): string[] {
  const ratio = (figure: number | undefined) =>
    first === undefined || figure === undefined ? "–" : (first / figure).toFixed(2);
  return ["", ...others.map(ratio)];
}

function number(figure: number | undefined): string {
  if (figure === undefined) return "–";
  const digits = Math.abs(figure) < 10 ? 2 : Math.abs(figure) < 100 ? 1 : 0;
  return figure.toFixed(digits);
}

function printRow(what: string, cells: readonly string[]): void {
  console.log(what.padEnd(WIDTHS.what) + cells.map(cell).join(""));
}

function cell(text: string): string {
  return text.padStart(WIDTHS.cell);
}
