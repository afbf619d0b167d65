/**
 * What is known about another peer: where it listens, and whether it is there.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Target } from "../net/address.ts";
import type { Person } from "./journal.ts";

/** A peer that has answered a call. */
export interface Answerer extends Person {
  /** Differs for each run of a peer; missing if its program does not tell. */
  readonly instance?: string;
}

/** Whether another peer is there, and both sides accept each other. */
export type Presence =
  | { readonly state: "connecting" }
  | { readonly state: "here" } & Answerer
  | {
    readonly state: "away";
    /** Why it is away. */
    readonly error: GreetError;
    /** The peer that is there, but does not accept us. */
    readonly refusedBy?: Person;
  };

/** Where a peer listens. */
export interface Place extends Target {
  /** The fingerprint of its key, if a naming service has one. */
  readonly fingerprint?: string;
}

/** Where a peer listens, or why that is not known. */
export type Whereabouts = Place | GreetError;

/** A peer whose whereabouts are not known, because it will call us. */
export class AwaitedCall extends GreetError {
  /** @param name the name of the peer */
  constructor(name: string) {
    super("NOT_FOUND", `waiting for ${name} to call`);
  }
}

/** A peer that is there uses our connection in a way that no peer should. */
export class Breach extends GreetError {
  /** @param message what it does */
  constructor(message: string) {
    super("RESOURCE_EXHAUSTED", message, { hint: "its program is faulty or hostile" });
  }
}

/** Why something ends without a result: we have left the chat. */
export function leftChat(): GreetError {
  return new GreetError("CANCELLED", "this peer has left the chat");
}
