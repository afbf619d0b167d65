/**
 * What all benches share: turns, figures, tables, and a report of them.
 *
 * The machine is never quiet, so what is compared takes turns in one run ({@link inTurns}), and it
 * is the ratios that count. Times fail nothing; what was lost, refused or died does:
 * {@link Report.expect} makes the run end with exit code 1. Reads `/proc`, so it needs Linux.
 *
 * @module
 */

/** A value of which so large a share of the others is smaller. */
export function percentile(figures: readonly number[], share: number): number {
  return figures.toSorted((a, b) => a - b)[Math.floor(figures.length * share)];
}

export function median(figures: readonly number[]): number {
  return percentile(figures, 0.5);
}

/**
 * Measures each of some contenders once a round, in turns, so that a noisy minute hits them all.
 *
 * @returns the median of each, in their order
 */
export async function inTurns<Contender>(
  rounds: number,
  contenders: readonly Contender[],
  measure: (contender: Contender) => Promise<number>,
): Promise<number[]> {
  const figures: number[][] = contenders.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, contender] of contenders.entries()) figures[i].push(await measure(contender));
  }
  return figures.map(median);
}

/** What a process has used so far. */
export interface Usage {
  /** Resident memory, in megabytes (10^6 bytes). */
  readonly memoryMB: number;
  /** Time on a core, of all its threads, in milliseconds. */
  readonly cpuMs: number;
  /** How often one of its threads waited for something and went on. */
  readonly wakeUps: number;
}

/** Looks at a process. Threads that have ended by then are not counted. */
export async function usage(pid: number): Promise<Usage> {
  let cpuMs = 0;
  let wakeUps = 0;
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const task = `/proc/${pid}/task/${name}`;
    const [nanoseconds] = (await Deno.readTextFile(`${task}/schedstat`)).split(" ");
    cpuMs += Number(nanoseconds) / 1e6;
    const status = await Deno.readTextFile(`${task}/status`);
    wakeUps += Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)![1]);
  }
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return { memoryMB: Number(/^VmRSS:\s*(\d+)/m.exec(status)![1]) * 1_024 / 1e6, cpuMs, wakeUps };
}

/** A line of a table. A figure that could not be had is missing. */
interface Row {
  readonly what: string;
  readonly figures: readonly (number | undefined)[];
}

/** Where it was measured. */
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

/** What was measured, printed as it comes and written to a file at the end. */
export class Report {
  readonly #machine: Machine;
  readonly #tables: Table[] = [];
  readonly #skipped: string[] = [];
  readonly #faults: string[] = [];

  private constructor(machine: Machine) {
    this.#machine = machine;
  }

  static async open(): Promise<Report> {
    const here = await machine();
    console.log(
      `${here.cores} × ${here.processor}, ${here.memoryGB} GB, ${here.system}, Deno ${here.deno}`,
    );
    return new Report(here);
  }

  /** Begins a table: its columns are who or what is measured. */
  table(title: string, columns: readonly string[]): Table {
    const table = new Table(title, columns);
    this.#tables.push(table);
    return table;
  }

  /** Begins a table in which a second line of each row has the first figure divided by the others. */
  comparison(title: string, columns: readonly string[]): Table {
    const table = new Table(
      title,
      columns,
      (figures) => printRow(`    ${columns[0]} / …`, ratios(figures)),
    );
    this.#tables.push(table);
    return table;
  }

  /** Says what could not be measured here, and why. */
  skip(what: string): void {
    this.#skipped.push(what);
    console.log(`skipped: ${what}`);
  }

  /** Says how often something happened that must not: then the run has failed. */
  expect(what: string, actual: number, expected: number): void {
    if (actual === expected) return;
    this.#faults.push(`${what}: ${actual}, not ${expected}`);
    console.log(`FAILED: ${this.#faults.at(-1)}`);
  }

  /**
   * Writes everything down.
   *
   * @returns the exit code: 1 if something happened that must not, else 0
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

  /** @param after prints what follows a row */
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
