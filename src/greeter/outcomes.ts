/**
 * Collects the outcomes of greetings: exactly one for each name, whatever happens to the thread
 * that greets with it.
 *
 * @module
 */
import { GreetError, type PlainError } from "../base/errors.ts";
import { HandoffQueue } from "../base/handoff_queue.ts";

/** The longest a greeting may take by default, in seconds. */
export const DEFAULT_MAX_TIME = 10;

/** How one greeting ended. */
export type Outcome =
  & {
    /** The name's index in the list, from 0. */
    readonly index: number;
    /** The name to be greeted by. */
    readonly name: string;
  }
  & ({ readonly greeting: string } | { readonly error: GreetError });

/** An {@link Outcome} as plain data. */
export type PlainOutcome =
  & { readonly index: number }
  & ({ readonly greeting: string } | { readonly error: PlainError });

/** One name to greet with. */
export interface Client {
  /** The name's index in the list, from 0. */
  readonly index: number;
  readonly name: string;
}

/** The outcomes of all greetings, as they arrive; ends after the last one. */
export class Outcomes implements AsyncIterable<Outcome> {
  readonly #pending: Map<number, Client>;
  readonly #arrived = new HandoffQueue<Outcome>();

  constructor(clients: readonly Client[]) {
    this.#pending = new Map(clients.map((client) => [client.index, client]));
    this.#endAfterLast();
  }

  /**
   * Adds an outcome that a thread reports.
   *
   * @throws {GreetError} `FAILED` if it is no outcome of a name that still waits for one
   */
  add(reported: unknown): void {
    const outcome = reported as Partial<PlainOutcome> & { greeting?: unknown; error?: unknown };
    const client = this.#pending.get(outcome?.index ?? -1);
    const { greeting, error } = outcome ?? {};
    if (client !== undefined && typeof greeting === "string") this.#settle({ ...client, greeting });
    else if (client !== undefined && isError(error)) {
      this.#settle({ ...client, error: GreetError.fromJSON(error) });
    } else throw new GreetError("FAILED", "a thread failed: it reported something unexpected");
  }

  /** Fails those of some clients that have no outcome yet. */
  fail(clients: readonly Client[], cause: unknown): void {
    const error = GreetError.from(cause);
    for (const { index } of clients) {
      const client = this.#pending.get(index);
      if (client !== undefined) this.#settle({ ...client, error });
    }
  }

  /** Ends the outcomes, although some may be missing. */
  end(): void {
    this.#pending.clear();
    this.#endAfterLast();
  }

  #settle(outcome: Outcome): void {
    this.#pending.delete(outcome.index);
    void this.#arrived.push(outcome);
    this.#endAfterLast();
  }

  #endAfterLast(): void {
    if (this.#pending.size === 0) this.#arrived.end();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Outcome> {
    return this.#arrived[Symbol.asyncIterator]();
  }
}

function isError(value: unknown): value is PlainError {
  const { code, message } = (value ?? {}) as Partial<PlainError>;
  return typeof code === "string" && typeof message === "string";
}
