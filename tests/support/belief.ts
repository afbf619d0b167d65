/**
 * What somebody knows of names who was told of them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { LIMITS } from "../../src/naming/registry.ts";
import type { NameChange, NameChanges, NameEntry } from "../../src/rpc/services.ts";

/** What tells one entry from another. */
export const key = ({ name, address }: NameEntry) => `${name} ${address}`;

/** What a watcher knows after all that it was told; anything but a possible story throws. */
export class Belief {
  readonly entries = new Map<string, NameEntry>();
  readonly #isOfAll: boolean;
  revision = -1;
  states = 0;
  isMore = false;

  constructor(isOfAll: boolean) {
    this.#isOfAll = isOfAll;
  }

  fold({ state, more, revision, changes }: NameChanges): void {
    assert(!(state && this.isMore), "a state within a state");
    if (state) {
      assert(revision >= this.revision, "back to an earlier state");
      this.entries.clear();
      this.states++;
    } else if (this.isMore) assert.equal(revision, this.revision, "a state of two moments");
    else this.#follow(changes, revision);
    for (const { kind, entry } of changes) {
      const isKnown = this.entries.has(key(entry!));
      assert.equal(isKnown, kind === "FREED", `${kind} ${key(entry!)}`);
      if (kind === "HELD") this.entries.set(key(entry!), entry!);
      else this.entries.delete(key(entry!));
    }
    this.isMore = more;
    this.revision = revision;
  }

  #follow(changes: readonly NameChange[], revision: number): void {
    assert(changes.length > 0 && changes.length <= LIMITS.waiting, `${changes.length} changes`);
    for (const change of changes) {
      const isNext = this.#isOfAll
        ? change.revision === this.revision + 1
        : change.revision > this.revision;
      assert(isNext, `${change.revision} after ${this.revision}`);
      this.revision = change.revision;
    }
    assert.equal(revision, this.revision);
  }
}
