/**
 * Asks a peer that has answered whether it accepts us, and says why it does not.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { CallOptions, Connection } from "../rpc/client.ts";
import { CHAT, type Introduction } from "../rpc/services.ts";

/** How we introduce ourselves to a peer. */
export interface IntroductionOptions extends Introduction {
  /** The argument with which the other side's command would name us, such as `55555`. */
  readonly argument: string;
  /** Whether the chat is encrypted, so that the peer could use our connection. */
  readonly isEncrypted: boolean;
}

/** How long an answer may take, and what ends the wait for it. */
export type Limits =
  & Required<Pick<CallOptions, "timeoutMs" | "signal">>
  & Pick<CallOptions, "connectMs">;

/** What would let a connection from one side carry both directions. */
export const ENCRYPTION_HELPS =
  "in an encrypted chat (--tls on both sides, not --plaintext), a connection from one side is enough";

/** The answer of a peer: it accepts us, says that it does not, or does not know the question. */
export type Answer = "accepted" | "not implemented" | GreetError;

/**
 * Asks a peer whether it accepts us.
 *
 * @param peer its name, and the address that it answers at
 * @throws {GreetError} if there is no answer
 */
export async function requestAcceptance(
  channel: Connection,
  peer: { readonly name: string; readonly address: string },
  { argument, isEncrypted, ...introduction }: IntroductionOptions,
  limits: Limits,
): Promise<Answer> {
  try {
    const { verdict } = await channel.call(CHAT, "Meet", introduction, limits);
    if (verdict === "ACCEPTED") return "accepted";
    const { name, address } = peer;
    const why = verdict === "UNREACHABLE"
      ? unreachable(name, argument, isEncrypted)
      : unlisted(name, argument);
    return new GreetError("FAILED_PRECONDITION", `${name} is at ${address}, but ${why.reason}`, {
      hint: why.hint,
    });
  } catch (error) {
    const failure = GreetError.from(error);
    if (failure.code === "UNIMPLEMENTED") return "not implemented";
    if (failure.code === "PERMISSION_DENIED") return failure;
    throw failure;
  }
}

function unlisted(name: string, argument: string) {
  return {
    reason: `${name}'s command does not name ${subjectOf(argument)}`,
    hint: `ask ${name} to add ${argument}`,
  };
}

function unreachable(name: string, argument: string, isEncrypted: boolean) {
  const check = `check that ${name}'s command names ${argument} and that no firewall blocks it`;
  return {
    reason: `has not reached ${subjectOf(argument)} yet`,
    hint: isEncrypted ? check : `${check}; ${ENCRYPTION_HELPS}`,
  };
}

function subjectOf(argument: string): string {
  if (/^\d+$/.test(argument)) return `your port ${argument}`;
  return argument.includes(":") ? `your address ${argument}` : "you";
}
