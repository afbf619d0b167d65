/**
 * The commands that send a message of a special kind: `/me` and `/msg`.
 *
 * @module
 */
import { GreetError } from "../base/errors.ts";
import type { Draft, Message } from "../peer/messages.ts";
import type { Peer } from "../peer/peer.ts";
import { listOf } from "./wording.ts";

/**
 * The message of `/me`.
 *
 * @throws {GreetError} `USAGE` if there is no text
 */
export function action(text: string): Draft {
  if (text === "") throw new GreetError("USAGE", "Usage: /me TEXT, as in /me waves");
  return { text, isAction: true };
}

/**
 * The message of `/msg`.
 *
 * @param argument the name of a peer, in quotes if it could be misread, and the text
 * @throws {GreetError} `USAGE` if there is no text, or more than one name fits; `NOT_FOUND` if no
 *   peer of this chat has the name
 */
export function direct(argument: string, peer: Peer): Draft {
  const { name: to, text } = split(argument, peer);
  if (text === "") throw new GreetError("USAGE", "Usage: /msg NAME TEXT, as in /msg Bob hi");
  return { text, to };
}

/**
 * Makes sure that a message can be sent to a peer of this name.
 *
 * @throws {GreetError} `NOT_FOUND` if no peer of this chat has it
 */
export function requireMember(name: string, peer: Peer): void {
  const names = namesIn(peer);
  if (names.includes(name)) return;
  const known = names.length === 0
    ? "none has a name yet"
    : `your ${names.length === 1 ? "peer is" : "peers are"} ${listOf(names)}`;
  const message = name === peer.name
    ? `${name} is your own name`
    : `no peer in this chat is called ${name}; ${known}`;
  throw new GreetError("NOT_FOUND", message, {
    hint: names.length === 0 ? "say whom to expect: NAME@PEER" : undefined,
  });
}

/** The command that sends a message again; nothing if it takes none. */
export function commandFor({ body, isAction, to }: Message): string | undefined {
  if (to !== undefined) return `/msg ${to.includes(" ") ? `"${to}"` : to} ${body}`;
  return isAction ? `/me ${body}` : undefined;
}

/** The names that peers of this chat have, had or must have. */
function namesIn(peer: Peer): string[] {
  return [...new Set(peer.others.flatMap(({ lastName }) => lastName ?? []))];
}

function split(argument: string, peer: Peer): { name: string; text: string } {
  const [fit, ...others] = namesIn(peer).flatMap((name) => leading(argument, name) ?? []);
  if (others.length > 0) {
    const names = listOf([fit, ...others].map(({ name }) => name));
    throw new GreetError("USAGE", `that fits both ${names}`, {
      hint: `put the name in quotes: /msg "${others[0].name}" TEXT`,
    });
  }
  if (fit !== undefined) return fit;
  const [, quoted, word = "", text = ""] = /^(?:"([^"]*)"|(\S*))\s*(.*)$/s.exec(argument)!;
  const name = (quoted ?? word).normalize("NFC");
  if (argument !== "") requireMember(name, peer);
  return { name, text };
}

/** Splits off a name at the beginning, whatever the white space between its words. */
function leading(argument: string, name: string): { name: string; text: string } | undefined {
  const words = name.split(" ").length;
  const [head] = new RegExp(String.raw`^(?:\S+(?:\s+|$)){${words}}`).exec(argument) ?? [];
  if (head === undefined) return undefined;
  if (head.trim().split(/\s+/).join(" ").normalize("NFC") !== name) return undefined;
  return { name, text: argument.slice(head.length) };
}
