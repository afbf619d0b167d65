/**
 * Sends lines from a pipe, and waits at its end until they are delivered.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import { aborted, pause, race, within } from "../base/timing.ts";
import { type Draft, lengthProblem } from "../peer/messages.ts";
import type { Peer } from "../peer/peer.ts";
import { type Change, parseJsonLine } from "./json_lines.ts";
import { requireMember } from "./message_commands.ts";
import { ReadAhead } from "./read_ahead.ts";
import { draftOf, isCommand, isQuit } from "./slash_commands.ts";
import { pipedText } from "./typed_lines.ts";
import type { View } from "./view.ts";
import { keptText } from "./wording.ts";

/** How many lines are stored together at most; waiting for the disk is what takes time. */
const MAX_IN_FLIGHT = 256;

/** How long a command waits for deliveries of the lines before it, in milliseconds. */
const SETTLING_MS = 5_000;

/** What sending piped input needs. */
export interface PipedInputOptions {
  readonly lines: AsyncIterable<string>;
  readonly peer: Peer;
  readonly view: View;
  /** Runs a command. */
  readonly run: (command: string) => Promise<unknown>;
  /** Resolves when there is room for more output; `undefined` if there already is. */
  readonly ready: () => Promise<void> | undefined;
  /** Ends sending and waiting. */
  readonly signal: AbortSignal;
  /** Whether messages survive in a journal, so that a line can be sent while no peer is there. */
  readonly isDurable: boolean;
  /** Whether lines are JSON. */
  readonly json: boolean;
  /** How many seconds to wait for deliveries at the end (default: as long as it takes). */
  readonly linger?: number;
}

/**
 * Sends piped lines, then waits for deliveries.
 *
 * @returns an error if a line could not be sent, or if messages are still undelivered
 */
export async function sendPiped(options: PipedInputOptions): Promise<GreetError | undefined> {
  return await new PipedInput(options).send();
}

class PipedInput {
  readonly #options: PipedInputOptions;
  readonly #met: Promise<string>;
  readonly #aborted: Promise<void>;
  readonly #lines: AsyncIterable<string>;
  /** Settles when lines that are not durable have waited long enough after the end of the input. */
  readonly #overdue: Promise<void>;
  #isOverdue = false;
  readonly #inFlight = new Set<Promise<void>>();
  /** Why the first line that was refused was. */
  #refused: GreetError | undefined;
  #lineNumber = 0;

  constructor(options: PipedInputOptions) {
    this.#options = options;
    this.#met = options.peer.joined();
    // A peer that is disposed of before anyone has joined is no error here.
    this.#met.catch(() => {});
    this.#aborted = aborted(options.signal);
    const { lines, isDurable, linger } = options;
    // Otherwise the end of the input would be noticed only after the last delivery.
    const ahead = isDurable || linger === undefined ? undefined : new ReadAhead(lines);
    this.#lines = ahead ?? lines;
    this.#overdue = this.#becomeOverdue(ahead);
  }

  async #becomeOverdue(ahead: ReadAhead | undefined): Promise<void> {
    const { linger, signal } = this.#options;
    if (ahead === undefined) return await new Promise(() => {});
    await ahead.ended;
    await pause(linger! * 1_000, signal);
    this.#isOverdue = true;
  }

  async send(): Promise<GreetError | undefined> {
    const { ready, signal, json } = this.#options;
    const input = this.#lines[Symbol.asyncIterator]();
    for (;;) {
      const { done, value: line } = await input.next();
      this.#lineNumber++;
      if (signal.aborted) return;
      if (done) break;
      if (line.trim() === "") continue;
      if (this.#isQuit(line)) {
        await this.#settled();
        return this.#refused;
      }
      if (!json && isCommand(line)) await this.#obey(line);
      else await this.#say(line);
      if (signal.aborted) return;
      if (this.#isOverdue) return this.#giveUp();
      await ready();
    }
    await this.#stored();
    const undelivered = await this.#linger();
    return this.#refused ?? undelivered;
  }

  #isQuit(line: string): boolean {
    return this.#options.json ? line.trim() === "/quit" : isQuit(line);
  }

  /** Runs a command after the lines before it, so that its answer does not overtake them. */
  async #obey(command: string): Promise<void> {
    await this.#settled();
    await this.#options.run(command);
  }

  /** Waits, within a bound, until each line so far is delivered or found to wait. */
  async #settled(): Promise<void> {
    await this.#stored();
    await within(SETTLING_MS, this.#options.peer.settled(), this.#aborted);
  }

  async #say(line: string): Promise<void> {
    const { peer, isDurable, signal } = this.#options;
    const draft = this.#parse(line);
    if (draft === undefined) return;
    if (!("text" in draft)) return await this.#change(draft);
    if (!isDurable) await race([peer.joined(), this.#aborted, this.#overdue]);
    if (signal.aborted || this.#isOverdue) return;
    // Events report the outcome.
    const said = peer.send(draft).catch(() => {});
    this.#inFlight.add(said);
    if (isDurable && this.#inFlight.size < MAX_IN_FLIGHT) return;
    await this.#stored();
  }

  async #stored(): Promise<void> {
    await race([Promise.all(this.#inFlight), this.#overdue]);
    this.#inFlight.clear();
  }

  /** Adds or removes a peer after the lines before it. */
  async #change(change: Change): Promise<void> {
    await this.#settled();
    try {
      if ("add" in change) this.#options.peer.add(change.add);
      else this.#options.peer.remove(change.remove);
    } catch (error) {
      this.#refuse(GreetError.from(error));
    }
  }

  #parse(line: string): Draft | Change | undefined {
    try {
      return this.#options.json ? this.#jsonDraft(line) : this.#plainDraft(line);
    } catch (error) {
      const refusal = this.#refuse(GreetError.from(error));
      // A program has the answer.
      if (!this.#options.json) this.#refused ??= refusal;
    }
  }

  #jsonDraft(line: string): Draft | Change {
    const draft = parseJsonLine(line);
    if ("text" in draft && draft.to !== undefined) requireMember(draft.to, this.#options.peer);
    return draft;
  }

  /** A line that is too long is refused here, where it is not printed as a failed message. */
  #plainDraft(line: string): Draft {
    const draft = draftOf(line, this.#options.peer) ?? { text: pipedText(line) };
    const problem = lengthProblem(draft.text);
    if (problem === undefined) return draft;
    throw new GreetError("RESOURCE_EXHAUSTED", `not sent: ${problem}`);
  }

  /** Reports an error together with the number of the line that it is about. */
  #refuse({ code, message, hint }: GreetError): GreetError {
    const where = `line ${this.#lineNumber} of the input: `;
    const error = new GreetError(code, where + message, { hint });
    this.#options.view.refuse(error);
    return error;
  }

  #giveUp(): GreetError {
    const { linger, view } = this.#options;
    const message = `not everything was delivered within ${linger} s after the end of the input`;
    const error = new GreetError("UNAVAILABLE", message);
    view.refuse(error);
    return error;
  }

  /** Waits, within the bound, until a peer has joined and everything is delivered. */
  async #linger(): Promise<GreetError | undefined> {
    const { peer, linger = Infinity, signal } = this.#options;
    const done = Promise.all([this.#met, peer.drained()]);
    await within(linger * 1_000, done, this.#aborted);
    if (signal.aborted || !peer.isWaiting) return;
    return new GreetError("UNAVAILABLE", keptText(peer.queue()));
  }
}
