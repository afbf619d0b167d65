/**
 * `greet forget`: deletes old messages from a journal, after asking.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import { dateOption } from "./dates.ts";
import { GreetError } from "../base/errors.ts";
import { homeOption } from "./home.ts";
import { formatMoment } from "../base/local_time.ts";
import { parseName, toJson } from "../base/text.ts";
import { aborted, race } from "../base/timing.ts";
import type { Io } from "./io.ts";

/** Deletes the messages of a name that are older than a date. */
export async function forgetCommand(input: Arguments, io: Io): Promise<number> {
  const name = parseName(input.positionals(1, 1)[0]);
  const before = dateOption(input, "before");
  if (before === undefined) throw input.usage("greet forget needs --before DATE");
  if (!input.flag("yes") && !io.stdinIsTerminal) {
    throw input.usage(
      "greet forget asks before it deletes; without a terminal, --yes has to answer",
    );
  }
  const home = homeOption(input, io);
  const { JournalPruning } = await import("../peer/journal_pruning.ts");
  using journal = JournalPruning.open(home, name);
  if (journal.notice !== undefined) throw new GreetError("DATA_LOSS", journal.notice);
  const { messages, kept } = journal.count(before);
  const time = formatMoment(before);
  if (kept > 0) {
    io.stderr.line(`${counted(kept)} from before ${time} will stay: not delivered or shown yet.`);
  }
  if (messages > 0 && !input.flag("yes")) {
    io.stderr.line(`${counted(messages)} of ${name} from before ${time} will be deleted for good.`);
    if (!await agrees("Forget them? [y/N] ", io)) {
      io.stderr.line("Nothing was forgotten.");
      return 0;
    }
  }
  // Even if there is nothing to delete: an earlier run may have been kept from emptying the file.
  await journal.forget(before);
  io.stdout.line(
    input.flag("json")
      ? toJson({ type: "forgotten", name, before: before.toISOString(), messages, kept })
      : `Forgot ${counted(messages)}.`,
  );
  return 0;
}

function counted(messages: number): string {
  return messages === 1 ? "1 message" : `${messages} messages`;
}

/** Asks a question; only "y" and "yes" agree. */
async function agrees(question: string, { stdin, stderr, signal }: Io): Promise<boolean> {
  stderr.print([question], question.length);
  const reader = stdin.pipeThrough(new TextDecoderStream()).getReader();
  const stop = aborted(signal).then(() => undefined);
  const answer = await race([reader.read(), stop]);
  // Without an answer, the line of the question is not finished.
  if (answer?.value === undefined) stderr.line("");
  if (answer === undefined) throw new GreetError("INTERRUPTED", "nothing was forgotten");
  return /^y(es)?$/i.test(answer.value?.trim() ?? "");
}
