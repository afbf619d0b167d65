/**
 * What is known about another peer: where it listens, and whether it is there.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Target } from "../net/address.ts";
import type { Person } from "./journal.ts";

/** Whether another peer is there. */
export type Presence =
  | { readonly state: "connecting" }
  | { readonly state: "here" } & Person
  | { readonly state: "away"; readonly error: GreetError };

/** Where a peer listens. */
export interface Place extends Target {
  /** The fingerprint of its key, if a naming service has one. */
  readonly fingerprint?: string;
}

/** Where a peer listens, or why that is not known. */
export type Whereabouts = Place | GreetError;

/** Why something ends without a result: we have left the chat. */
export function leftChat(): GreetError {
  return new GreetError("CANCELLED", "this peer has left the chat");
}
