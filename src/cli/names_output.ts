/**
 * What is registered with a naming service, printed for people or as lines of JSON.
 *
 * {@link printNames} prints what there is now, {@link printChanges} goes on; a naming
 * server's own log has the same wording.
 *
 * @module
 */
import type { GreetError } from "../base/errors.ts";
import { HeldNames, type NameChange } from "../naming/held_names.ts";
import type { Names } from "../naming/names.ts";
import { checkCount, type NamedEntry, type NamesEvent } from "../naming/naming_service.ts";
import type { NameNews } from "../naming/names_server.ts";
import type { Output } from "../base/output.ts";
import { showable, toJson } from "../base/text.ts";

/** Where to print, and how. */
export interface PrintOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Stops. */
  readonly signal: AbortSignal;
  /** One JSON object a line. */
  readonly json: boolean;
  /** Leaves out that there is nothing. */
  readonly quiet: boolean;
}

/**
 * Prints all names that are held, ordered.
 *
 * @throws {GreetError} where the naming service cannot be asked
 */
export async function printNames(names: Names, options: PrintOptions): Promise<void> {
  const { stdout, stderr, signal, json, quiet } = options;
  const entries = await names.list({ signal });
  if (json) {
    for (const entry of entries) stdout.line(toJson(plain(entry)));
    return;
  }
  const rows = entries.map((entry) => ({ ...entry, name: showable(entry.name) }));
  const [nameWidth, addressWidth] = [widest(rows, "name"), widest(rows, "address")];
  for (const { name, address, since } of rows) {
    const when = since === undefined ? "" : `since ${localTime(since)}`;
    stdout.line(`${name.padEnd(nameWidth)}  ${address.padEnd(addressWidth)}  ${when}`.trimEnd());
  }
  if (entries.length === 0 && !quiet) stderr.line(`Nobody is registered at ${names.address}.`);
}

function widest(entries: readonly NamedEntry[], column: "name" | "address"): number {
  return entries.reduce((width, entry) => Math.max(width, entry[column].length), 0);
}

/**
 * Prints who is registered, and every change, until the signal is aborted.
 *
 * @param name whom to watch; everybody where it is missing
 * @throws {GreetError} where watching is refused; a naming service that is lost is waited for
 */
export async function printChanges(
  names: Names,
  name: string | undefined,
  options: PrintOptions,
): Promise<void> {
  const { stdout, stderr, signal, json } = options;
  const held = new HeldNames();
  for await (const event of names.watch(name, signal)) {
    if (json) stdout.line(eventLine(event));
    else if (event.type === "lost") stderr.line(lostText(event.error));
    else {
      for (const change of held.changesBy(event)) stdout.line(changeText(change));
    }
    held.apply(event);
    checkCount(held.size, name, names.address);
    await stdout.ready();
  }
}

function changeText({ type, entry: { name, address } }: NameChange): string {
  return `[${localTime(new Date()).slice(11, 16)}] ${whatHappened(type, name, address)}`;
}

function whatHappened(type: "held" | "freed", name: string, address: string): string {
  return `${showable(name)} is ${type === "held" ? "at" : "gone from"} ${showable(address)}`;
}

function lostText({ message }: GreetError): string {
  return `greet: error: ${showable(message)}; trying again`;
}

function eventLine(event: NamesEvent): string {
  switch (event.type) {
    case "state":
      return toJson({ type: "state", names: event.entries.map(plain) });
    case "lost":
      return toJson({ type: "error", ...event.error.toJSON() });
    default:
      return toJson({ type: event.type, ...plain(event.entry) });
  }
}

function plain({ name, address, shared, since, fingerprint }: NamedEntry) {
  return { name, address, shared, since: since?.toISOString(), fingerprint };
}

/** What a naming server's log says of a change. */
export function newsText({ kind, name, address }: NameNews): string {
  return `[Names] ${whatHappened(kind, name, address)}`;
}

/** The same as a line of JSON. */
export function newsLine({ at, kind, name, address, fingerprint }: NameNews): string {
  return toJson({ type: kind, at: at.toISOString(), name, address, fingerprint });
}

/** `2026-11-23 17:24:05`, in local time. */
function localTime(at: Date): string {
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19).replace("T", " ");
}
