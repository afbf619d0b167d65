/**
 * `greet history`: prints a journal.
 *
 * @module
 */
import type { Arguments } from "./arguments.ts";
import { dateOption } from "./dates.ts";
import { useColor } from "./color.ts";
import { GreetError } from "../base/errors.ts";
import { homeOption } from "./home.ts";
import { parseName } from "../base/text.ts";
import { rendered } from "../terminal/rows.ts";
import { lengthOf, type Styled } from "../terminal/style.ts";
import type { Io } from "./io.ts";
import { warn } from "./reports.ts";

/** Prints the journal of a name, or what of it was asked for. */
export async function historyCommand(input: Arguments, io: Io): Promise<number> {
  const name = parseName(input.positionals(1, 1)[0]);
  const since = dateOption(input, "since") ?? new Date(0);
  const text = input.string("find");
  if (text === "") throw input.usage("--find needs a text");
  const color = useColor(input, io);
  const home = homeOption(input, io);
  const [{ JournalReader }, { matcher }, { recordLines, recordObject }] = await Promise.all([
    import("../peer/journal_reader.ts"),
    import("../peer/text_search.ts"),
    import("../chat/records.ts"),
  ]);
  using journal = JournalReader.open(home, name);
  if (journal.isWritableByOthers) warn("other users can write to this journal", io);
  const isWanted = matcher(text ?? "");
  const linesOf = input.flag("json") ? recordObject : recordLines();
  const columns = input.flag("json") ? () => undefined : io.columns;
  let count = 0;
  for (const entry of journal.entries(since)) {
    if (text !== undefined && !isWanted(entry.message.body)) continue;
    count++;
    await print(linesOf(entry), { color, columns }, io);
    if (io.signal.aborted) break;
  }
  if (count === 0) io.stderr.line("No message matches.");
  return await finish(io);
}

async function print(
  lines: readonly Styled[],
  rendering: { color: boolean; columns: () => number | undefined },
  { stdout }: Io,
): Promise<void> {
  for (const line of lines) stdout.print(rendered(line, rendering), lengthOf(line));
  await stdout.ready();
}

/** A reader that wants no more, such as `head`, is not an interruption. */
async function finish({ stdout, signal }: Io): Promise<number> {
  const isRead = await stdout.flush();
  if (signal.aborted && isRead) throw new GreetError("INTERRUPTED", "interrupted");
  return 0;
}
