/**
 * The life of an own message that not everyone has yet.
 *
 *     undelivered ──print──▶ undeliveredShown          (in a pipe)
 *          │                        │
 *          └───────delivery─────────┤
 *                                   ▼
 *                                partial ──print──▶ partialShown
 *
 * In the `…Shown` stages the conversation shows the message with a mark that is still true:
 * `(waiting)` or `(waiting for Carol)`. The first delivery outdates `(waiting)`.
 *
 * @module
 */
import type { Addressee, Message } from "../peer/journal.ts";
import type { PeerEvent } from "../peer/peer.ts";
import { failureText, waitingForMark } from "./wording.ts";

/** How far a message has come: whether any peer has it, and whether the conversation shows it. */
export type Stage = "undelivered" | "undeliveredShown" | "partial" | "partialShown";

/** An own message that not everyone has yet. */
export interface Pending {
  readonly message: Message;
  readonly stage: Stage;
  readonly waitingFor: readonly Addressee[];
  /** Why it will never reach some addressees. */
  readonly failures: readonly string[];
}

/** What happens to a message on its way. */
export type ProgressEvent = Extract<PeerEvent, { type: "queued" | "delivered" | "failed" }>;

const AFTER_DELIVERY: Readonly<Record<Stage, Stage>> = {
  undelivered: "partial",
  undeliveredShown: "partial",
  partial: "partial",
  partialShown: "partialShown",
};

const AFTER_PRINTING: Readonly<Record<Stage, Stage>> = {
  undelivered: "undeliveredShown",
  undeliveredShown: "undeliveredShown",
  partial: "partialShown",
  partialShown: "partialShown",
};

/** A message that no peer has yet. */
export function undelivered(message: Message, waitingFor: readonly Addressee[] = []): Pending {
  return { message, stage: "undelivered", waitingFor, failures: [] };
}

/** The message after an event. */
export function advanced(pending: Pending, event: ProgressEvent): Pending {
  const { waitingFor } = event;
  switch (event.type) {
    case "queued":
      return { ...pending, waitingFor };
    case "delivered":
      return { ...pending, waitingFor, stage: AFTER_DELIVERY[pending.stage] };
    case "failed": {
      // Naming the only addressee would say nothing new.
      const isOnlyAddressee = waitingFor.length === 0 && !isWithSome(pending);
      const failure = failureText({ ...event, to: isOnlyAddressee ? undefined : event.to });
      return { ...pending, waitingFor, failures: [...pending.failures, failure] };
    }
  }
}

/** The message after it has become a line of the conversation. */
export function printed(pending: Pending): Pending {
  return { ...pending, stage: AFTER_PRINTING[pending.stage] };
}

/** Whether the conversation shows the message, with a mark that is still true. */
export function isShown({ stage }: Pending): boolean {
  return stage === "undeliveredShown" || stage === "partialShown";
}

/** Whether some peer has the message. */
export function isWithSome({ stage }: Pending): boolean {
  return stage === "partial" || stage === "partialShown";
}

/** The mark behind a message that waits for peers who are away. */
export function waitingMark(pending: Pending): string {
  return isWithSome(pending) ? waitingForMark(pending.waitingFor) : " (waiting)";
}
