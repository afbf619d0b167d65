/**
 * A table with a column for each amount of work, and the slope of each figure.
 *
 * @module
 */
import type { Report, Table } from "../measure.ts";

/** The amounts of work of a table. */
export interface Work {
  /** In ascending order. */
  readonly amounts: readonly number[];
  /** What the price of a further amount is given for, such as `1,000 messages`. */
  readonly unit: string;
  /** How much of the work one unit is; 1 unless stated. */
  readonly unitSize?: number;
}

/** A table of figures for ascending amounts of work. */
export class GrowthTable {
  readonly #work: Work;
  readonly #table: Table;

  constructor(report: Report, title: string, work: Work) {
    this.#work = work;
    const columns = work.amounts.map((amount) => amount.toLocaleString("en"));
    this.#table = report.table(title, [...columns, "slope"]);
  }

  /**
   * Adds a row. Its slope is that of the last step on logarithmic scales: 0 does not grow, 1 grows
   * with the work, and 2 with its square.
   */
  row(what: string, figures: readonly number[]): void {
    const [from, to] = this.#work.amounts.slice(-2);
    const [before, after] = figures.slice(-2);
    const slope = Math.log(after / before) / Math.log(to / from);
    this.#table.row(what, ...figures, Number.isFinite(slope) ? slope : undefined);
  }

  /**
   * Adds a row and, below it, what each further unit of work takes, from one amount to the next. If
   * that is constant, the rest is the price of the start.
   */
  rowWithFurther(what: string, figures: readonly number[]): void {
    this.row(what, figures);
    const { amounts, unit, unitSize = 1 } = this.#work;
    const further = figures.slice(1).map((figure, i) =>
      (figure - figures[i]) / (amounts[i + 1] - amounts[i]) * unitSize
    );
    this.#table.row(`… each further ${unit}`, undefined, ...further, undefined);
  }
}
