/**
 * Prints registered names, as text or as lines of JSON: once, or every change.
 *
 * A naming server's log uses the same wording.
 *
 * @module
 */
import type { GreetError } from "../base/errors.ts";
import { HeldNames, type NameChange } from "../naming/held_names.ts";
import type { Names } from "../naming/names.ts";
import { checkCount, type NamedEntry, type NamesEvent } from "../naming/naming_service.ts";
import type { NameNews } from "../naming/names_server.ts";
import type { Output } from "../base/output.ts";
import { formatClock, formatMoment } from "../base/local_time.ts";
import { showable, toJson } from "../base/text.ts";

/** Where and how to print. */
export interface PrintOptions {
  readonly stdout: Output;
  readonly stderr: Output;
  /** Ends {@link printChanges}. */
  readonly signal: AbortSignal;
  /** Print one JSON object a line. */
  readonly json: boolean;
  /** Do not report an empty list. */
  readonly quiet: boolean;
}

/**
 * Prints all registered names, in order.
 *
 * @throws {GreetError} if the naming service does not answer
 */
export async function printNames(names: Names, options: PrintOptions): Promise<void> {
  const { stdout, stderr, signal, json, quiet } = options;
  const entries = await names.list({ signal });
  if (json) {
    for (const entry of entries) stdout.line(toJson({ type: "name", ...jsonOf(entry) }));
    return;
  }
  const rows = entries.map((entry) => ({ ...entry, name: showable(entry.name) }));
  const [nameWidth, addressWidth] = [widest(rows, "name"), widest(rows, "address")];
  for (const { name, address, since } of rows) {
    const when = since === undefined ? "" : `since ${formatMoment(since)}`;
    stdout.line(`${name.padEnd(nameWidth)}  ${address.padEnd(addressWidth)}  ${when}`.trimEnd());
  }
  if (entries.length === 0 && !quiet) stderr.line(`No names are registered ${names.where}.`);
}

function widest(entries: readonly NamedEntry[], column: "name" | "address"): number {
  return entries.reduce((width, entry) => Math.max(width, entry[column].length), 0);
}

/**
 * Prints registered names, then every change, until the signal is aborted. A naming service that is
 * lost is waited for.
 *
 * @param name the name to watch; undefined for all
 * @throws {GreetError} if the service refuses the watch
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
  return `[${formatClock(new Date())}] ${describe(type, name, address)}`;
}

function describe(type: "held" | "freed", name: string, address: string): string {
  return `${showable(name)} is ${type === "held" ? "at" : "gone from"} ${showable(address)}`;
}

function lostText({ message }: GreetError): string {
  return `greet: error: ${showable(message)}; trying again`;
}

function eventLine(event: NamesEvent): string {
  switch (event.type) {
    case "state":
      return toJson({ type: "state", names: event.entries.map(jsonOf) });
    case "lost":
      return toJson({ type: "error", ...event.error.toJSON() });
    default:
      return toJson({ type: event.type, ...jsonOf(event.entry) });
  }
}

function jsonOf({ name, address, shared, since, fingerprint }: NamedEntry) {
  return { name, address, shared, since: since?.toISOString(), fingerprint };
}

/** A line of a naming server's log. */
export function newsText({ kind, name, address }: NameNews): string {
  return `[Names] ${describe(kind, name, address)}`;
}

/** The same line as JSON. */
export function newsLine({ at, kind, name, address, fingerprint }: NameNews): string {
  return toJson({ type: kind, at: at.toISOString(), name, address, fingerprint });
}
