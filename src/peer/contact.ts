/**
 * The peers that a chat is held with: the link to each of them, and what waits to be delivered.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Addressee, Person } from "./journal.ts";
import type { Link } from "./link.ts";
import type { Outbox } from "./outbox.ts";
import { leftChat } from "./presence.ts";

/** Another peer: the link to it, and the messages for it. */
export interface Contact {
  readonly link: Link;
  readonly outbox: Outbox;
  /** The name that the peer must have, if the user has said so. */
  readonly expected?: string;
  /** All names that are expected or were met there, in this run or at the end of earlier ones. */
  readonly names: Set<string>;
  /** The peer that was last met there. */
  last?: Person;
}

/** The addressee of a message to a contact now: the peer that is there, was there, or must be. */
export function addresseeOf({ link, last, expected }: Contact): Addressee {
  return last === undefined
    ? { target: link.address, name: expected }
    : { target: link.address, ...last };
}

/** Identifies a peer: its name, and its key if it has one. */
export function keyOf({ name, fingerprint = "" }: Person): string {
  return `${fingerprint} ${name}`;
}

/** The contact whose peer has a name or, if none has it now, had or must have it. */
export function contactCalled(name: string, contacts: readonly Contact[]): Contact | undefined {
  return contacts.find(({ link }) => link.name === name) ??
    contacts.find((contact) => addresseeOf(contact).name === name);
}

/** Why nothing can be delivered to a contact now. */
export function absence({ link: { presence }, last }: Contact): GreetError {
  if (presence.state === "connecting") return leftChat();
  if (presence.state === "here") return new GreetError("UNAVAILABLE", "another peer is there now");
  if (last === undefined || presence.refusedBy !== undefined) return presence.error;
  const { code } = presence.error;
  return new GreetError(code, `${last.name} has left`, { cause: presence.error });
}
