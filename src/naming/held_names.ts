/**
 * What is held now, according to the events of a watch.
 *
 * @module
 */
import type { NamedEntry, NamesEvent, WatchUpdate } from "./naming_service.ts";

/** A change to one entry. */
export type NameChange = Exclude<WatchUpdate, { type: "state" }>;

/** The entries that are held, as far as a watcher has been told. */
export class HeldNames {
  readonly #entries = new Map<string, readonly NamedEntry[]>();
  #size = 0;

  /** The entries of a name. */
  of(name: string): readonly NamedEntry[] {
    return this.#entries.get(name) ?? [];
  }

  /** All entries. */
  all(): NamedEntry[] {
    return [...this.#entries.values()].flat();
  }

  /** The number of entries. */
  get size(): number {
    return this.#size;
  }

  /** Updates the entries with the next event of the watch. */
  apply(event: NamesEvent): void {
    switch (event.type) {
      case "state":
        return this.#replaceAll(event.entries);
      case "held":
      case "freed":
        return this.#set(event.entry.name, afterChange(this.of(event.entry.name), event));
    }
  }

  /**
   * What the next event of the watch would change: after a gap, a state repeats what is known.
   *
   * @param event the event, before it is applied
   */
  changesBy(event: WatchUpdate): NameChange[] {
    if (event.type !== "state") return [event];
    const next = new HeldNames();
    next.apply(event);
    return [
      ...this.all().filter((entry) => !next.#has(entry)).map(asChange("freed")),
      ...event.entries.filter((entry) => !this.#has(entry)).map(asChange("held")),
    ];
  }

  #has({ name, address }: NamedEntry): boolean {
    return this.of(name).some((entry) => entry.address === address);
  }

  #replaceAll(entries: readonly NamedEntry[]): void {
    this.#entries.clear();
    this.#size = 0;
    const byName = Map.groupBy(entries, ({ name }) => name);
    for (const [name, held] of byName) this.#set(name, held);
  }

  #set(name: string, entries: readonly NamedEntry[]): void {
    this.#size += entries.length - this.of(name).length;
    if (entries.length === 0) this.#entries.delete(name);
    else this.#entries.set(name, entries);
  }
}

function asChange(type: NameChange["type"]): (entry: NamedEntry) => NameChange {
  return (entry) => ({ type, entry });
}

/** The entries of one name after a change. */
function afterChange(entries: readonly NamedEntry[], { type, entry }: NameChange): NamedEntry[] {
  if (type === "freed") return entries.filter((one) => !isSame(one, entry));
  const others = entry.shared ? entries.filter(({ address }) => address !== entry.address) : [];
  return [...others, entry];
}

/**
 * Whether two entries of one name stand for the same holder. Another one, with another key, may have
 * taken the address before the former holder's end is reported.
 */
function isSame(one: NamedEntry, other: NamedEntry): boolean {
  return one.address === other.address && one.fingerprint === other.fingerprint;
}
